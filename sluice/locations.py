"""Where files are: paths, ``file://`` URLs, and those of object stores.

Nothing is opened here. Invariant: a URL of another kind is refused by name, never taken for a path.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit


def local_path(location: str) -> Path:
    """The path that a location names: itself, or that of its ``file://`` URL.

    Raises:
        ValueError: it is a URL that names no path of this machine; the message is fit for a person.
    """
    if not re.match("[A-Za-z][A-Za-z0-9+.-]*://|file:", location, re.IGNORECASE):
        return Path(location)
    url = urlsplit(location)
    path = unquote(url.path)
    if url.scheme != "file" or url.netloc not in {"", "localhost"} or path[:1] != "/":
        raise ValueError("must be a path, file:///path, or s3://, gs:// or az://bucket/prefix")
    if url.query or url.fragment or "\0" in path:
        raise ValueError("a file:// path has '?' and '#' as %3F and %23, and no %00")
    return Path(path)
