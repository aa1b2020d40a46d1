"""Types of settings, with errors worded for the person who set them.

Invariant: each check looks at a single value; checks across settings are in ``sluice.settings``.
"""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from consumer.storage.objects.urls import is_object_url, split_url
from schemas.limits import MOST_RETENTION_SECONDS
from schemas.requests import is_user
from sluice.links import parse_keys
from sluice.locations import is_safe_url, local_path

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")


def _check_servers(servers: str) -> str:
    for server in servers.split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 1 <= int(match[1] or 9092) <= 65_535:
            raise ValueError(f"{server.strip()!r} is not host:port; several are divided by commas")
    return servers


def _check_kafka_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name):
        raise ValueError("may have letters, digits, '.', '_' and '-' only, at most 200 of them")
    return name


def _check_storage_url(url: str) -> str:
    if is_object_url(url):
        split_url(url)
    else:
        local_path(url)
    return url


def _check_issuer(url: str) -> str:
    if not is_safe_url(url) or urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("must be an https:// URL, without a query; http:// on loopback only")
    return url


def _check_claim(name: str) -> str:
    if not name.isprintable() or len(name) > 200:
        raise ValueError("must be the name of a claim")
    return name


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def check_readable(path: Path) -> Path:
    """Check that a file can be read, and return its path. Raises ValueError if it can't."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    return path


def split_paths(paths: str) -> tuple[Path, ...]:
    """Split paths as in PATH."""
    return tuple(Path(path) for path in paths.split(os.pathsep) if path)


def _check_readable_files(paths: str) -> str:
    for path in split_paths(paths):
        check_readable(path)
    return paths


def parse_token_pairs(pairs: str) -> dict[str, str]:
    """Users by their tokens, of ``token:user,…``. Raises ValueError: it is no such text."""
    users: dict[str, str] = {}
    for number, pair in enumerate(pairs.split(","), start=1):
        token, _, user = pair.strip().partition(":")
        if not (token and user):
            raise ValueError(f"entry {number} is not of the form token:user")
        if not is_user(user):
            raise ValueError(f"entry {number} has a user that is too long or no text")
        if users.setdefault(token, user) != user:
            raise ValueError(f"entry {number} has the token of another user")
    return users


def _check_token_pairs(pairs: SecretStr) -> SecretStr:
    parse_token_pairs(pairs.get_secret_value())
    return pairs


def _check_link_keys(keys: SecretStr) -> SecretStr:
    parse_keys(keys.get_secret_value())
    return keys


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
RetentionSeconds = Annotated[int, Field(ge=1, le=MOST_RETENTION_SECONDS)]
Servers = Annotated[str, AfterValidator(_check_servers)]
KafkaName = Annotated[str, AfterValidator(_check_kafka_name)]
StorageUrl = Annotated[str, Field(min_length=1), AfterValidator(_check_storage_url)]
IssuerUrl = Annotated[str, AfterValidator(_check_issuer)]
Claim = Annotated[str, AfterValidator(_check_claim)]
AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]
ReadableFile = Annotated[Path, AfterValidator(check_readable)]
ReadableFiles = Annotated[str, AfterValidator(_check_readable_files)]
TokenPairs = Annotated[SecretStr, AfterValidator(_check_token_pairs)]
Keys = Annotated[SecretStr, AfterValidator(_check_link_keys)]
