"""Locations: files by path or ``file://`` URL, and HTTP URLs.

Nothing is opened here. Invariant: a URL of another kind is refused by name, never taken for a path.
"""

import ipaddress
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_BASE_URL = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?:/[A-Za-z0-9._~/%-]*)?"
)


def local_path(location: str) -> Path:
    """The path that a location names: itself, or that of its ``file://`` URL.

    Raises:
        ValueError: it is a URL that names no path of this machine; the message is fit for a person.
    """
    # One slash too few is no directory named "s3:"; who has one writes ./s3:
    if not re.match("[A-Za-z][A-Za-z0-9+.-]*://|(file|s3|gs|az):", location, re.IGNORECASE):
        return Path(location)
    url = urlsplit(location)
    path = unquote(url.path)
    if url.scheme != "file" or url.netloc not in {"", "localhost"} or path[:1] != "/":
        raise ValueError("must be a path, file:///path, or s3://, gs:// or az://bucket/prefix")
    if url.query or url.fragment or "\0" in path:
        raise ValueError("a file:// path has '?' and '#' as %3F and %23, and no %00")
    return Path(path)


def base_url(url: str) -> str:
    """Check a base URL, and strip its trailing slash.

    Raises:
        ValueError: it is invalid; the message is fit for a person, and shows no password.
    """
    match = _BASE_URL.fullmatch(url)
    if match is None or not 1 <= int(match[1] or 80) <= 65_535:
        raise ValueError("must be http://host or https://host, with a port or a path if need be")
    return url.rstrip("/")


def is_safe_url(url: str) -> bool:
    """Whether nobody on the way can change what is at a URL: ``https``, or ``http`` on loopback."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or re.search("[^!-~]", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
