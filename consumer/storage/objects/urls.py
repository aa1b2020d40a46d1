"""URLs of object stores and the options of their clients, as people write them. Pure.

    s3://bucket/prefix      Amazon S3, and what speaks its protocol
    gs://bucket/prefix      Google Cloud Storage
    az://container/prefix   Azure Blob Storage

The client library isn't imported here, as every command reads the settings. Invariant: no message
shows a part of a URL that may be a password, nor the value of an option.
"""

import re

_SCHEMES = ("s3", "gs", "az")
_URL = re.compile(r"([A-Za-z0-9]+)://([^/]*)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PREFIX = re.compile(r"(?:[A-Za-z0-9._=+-]+/)*[A-Za-z0-9._=+-]+")
_PLACES = {"bucket", "bucket_name", "container_name", "container"}


def is_object_url(location: str) -> bool:
    """Whether a location names an object store."""
    return location.lower().startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def without_login(url: str) -> str:
    """The URL without a possible password."""
    return re.sub("://[^/]*@", "://", url)


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and prefix of a URL; the prefix without a slash at its end.

    Raises:
        ValueError: it is malformed; the message is fit for a person.
    """
    scheme, bucket, path = _parts(url, "prefix")
    prefix = path.rstrip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError("has a prefix of other than letters, digits and . _ = + - / between them")
    return scheme, bucket, prefix


def split_object_url(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and key of the URL of one object, whose key may hold any printed character.

    Raises:
        ValueError: it is malformed; the message is fit for a person.
    """
    scheme, bucket, key = _parts(url, "key")
    if not key or key.endswith("/"):
        raise ValueError(f"must name an object, as in {scheme}://bucket/key")
    if {"", ".", ".."} & set(key.split("/")) or re.search(r"[\x00-\x1f\x7f]", key):
        # The client library has no name for these.
        raise ValueError("names a key with an empty part, . or .., or a control character in it")
    return scheme, bucket, key


def _parts(url: str, path: str) -> tuple[str, str, str]:
    """Scheme, bucket and the rest, which messages call ``path``."""
    match = _URL.fullmatch(url)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in _SCHEMES:
        raise ValueError(f"must be s3://bucket/{path}, gs://bucket/{path} or az://container/{path}")
    if not _BUCKET.fullmatch(match[2]):
        raise ValueError(f"must name a bucket, as in {scheme}://bucket/{path}, and nothing else")
    return scheme, match[2], match[3] or ""


def parse_options(text: str) -> dict[str, str]:
    """Options from ``key=value,…``.

    Raises:
        ValueError: they are malformed; the message names the key or its number, not its value.
    """
    options: dict[str, str] = {}
    for number, pair in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch("[a-z0-9_]+", key):
            raise ValueError(f"entry {number} is not of the form key=value")
        if key in options:
            raise ValueError(f"{key} is given twice")
        if key in _PLACES:
            raise ValueError(f"{key} is a part of SLUICE_STORAGE_URL")
        options[key] = value
    return options
