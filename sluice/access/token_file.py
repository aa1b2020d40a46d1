"""The token file: a line ``sha256-of-token:user:role`` for each token, kept by ``sluice tokens``.

Blank lines and lines beginning with ``#`` are skipped. Invariant: the file holds hashes, never
tokens; and readers always see it complete, either before or after a change.
"""

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.requests import is_user
from sluice.access.askers import Role

ID_LETTERS = 12
_MOST_BYTES = 1024 * 1024
_TOKEN_BYTES = 32
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token's SHA-256 in hexadecimal, and its bearer."""

    digest: str
    user: str
    role: Role

    @property
    def token_id(self) -> str:
        """Its id for people: the first digits of its hash."""
        return self.digest[:ID_LETTERS]


def digest_of(token: bytes) -> str:
    """The hash of a token.

    No salt, because tokens are random: those of ``add_token`` have 256 bits.
    """
    return hashlib.sha256(token).hexdigest()


def parse_tokens(content: bytes) -> list[KnownToken]:
    """The tokens in a file, in its order.

    Raises:
        ValueError: a line is wrong; it names the line and shows nothing of it.
    """
    if len(content) > _MOST_BYTES:
        raise ValueError(f"has more than {_MOST_BYTES:,} bytes")
    found: dict[str, KnownToken] = {}
    for number, line in _lines(content):
        token = _parse_line(number, line)
        if token.digest in found:
            raise ValueError(f"line {number}: has the hash of an earlier line")
        found[token.digest] = token
    return [*found.values()]


def read_tokens(path: Path) -> bytes:
    """The file's content, up to one byte more than allowed.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def add_token(path: Path, user: str, role: Role) -> str:
    """Create a token and add its hash to the file, which is created if missing.

    Returns the token, which is never shown again.

    Raises:
        OSError: the file can't be read or written.
        ValueError: a line of it is wrong.
    """
    token = f"sluice_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    line = f"{digest_of(token.encode())}:{user}:{role}\n".encode()
    with _locked(path) as real:
        content = read_tokens(real) if real.exists() else b""
        divider = b"" if content.endswith(b"\n") or not content else b"\n"
        changed = content + divider + line
        # Check before writing: an invalid line would make nodes refuse the file.
        parse_tokens(changed)
        _replace(real, changed)
    return token


def revoke_token(path: Path, token_id: str) -> list[KnownToken]:
    """Remove the token with this id from the file; returns what was removed. Raises as ``add``."""
    with _locked(path) as real:
        content = read_tokens(real)
        revoked = [one for one in parse_tokens(content) if one.token_id == token_id]
        if revoked:
            gone = {one.digest.encode() for one in revoked}
            lines = content.splitlines(keepends=True)
            # Match hashes, so that comments and blank lines stay unchanged.
            _replace(real, b"".join(one for one in lines if one.strip()[:64] not in gone))
    return revoked


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            yield number, line.strip()


def _parse_line(number: int, line: bytes) -> KnownToken:
    try:
        digest, _, rest = line.decode().partition(":")
    except UnicodeDecodeError:
        raise ValueError(f"line {number}: is not UTF-8") from None
    user, divider, role = rest.rpartition(":")
    if not (divider and _HASH.fullmatch(digest)):
        raise ValueError(f"line {number}: is not of the form sha256-of-token:user:role")
    if not is_user(user):
        raise ValueError(f"line {number}: has a user that is empty, too long or no text")
    if role not in [*Role]:
        raise ValueError(f"line {number}: has a role other than {' and '.join(Role)}")
    return KnownToken(digest, user, Role(role))


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """The file itself, with links resolved and its directory locked, so that changes are serial.

    The lock isn't on the file, because each change replaces it.
    """
    real = Path(os.path.realpath(path))
    directory = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield real
        # The rename has to reach the disk too.
        os.fsync(directory)
    finally:
        os.close(directory)


def _replace(path: Path, content: bytes) -> None:
    """Replace the file's content atomically; only its owner, who stays the same, may read it."""
    number, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:  # created with mode 0600
            with suppress(FileNotFoundError):
                before = path.stat()
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
