"""Signed download links: anyone who holds one may fetch one export's file until it ends.

A link signs the export id and its end time by HMAC-SHA256 with the newest key; any of the keys
verifies it, so that keys can be rotated. Pure. Invariants: a link that verifies was made with a key
for exactly this id and time; and the time a check takes reveals nothing about a key or signature.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

STRONG_KEY_CHARACTERS = 32
DEFAULT_LINK_SECONDS = 3_600
MOST_LINK_SECONDS = 604_800
"""A week: object stores sign URLs for no longer (AWS Signature Version 4)."""
_MOMENT = re.compile("[1-9][0-9]{0,11}", re.ASCII)


class LinkKeys:
    """The secrets, newest first; no output shows them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]
        self.are_strong = all(len(key) >= STRONG_KEY_CHARACTERS for key in keys)
        """Whether no key is so short that it may be guessed from a link."""

    def sign(self, export_id: str, expires: int) -> str:
        """The signature of a link that ends at ``expires``, in seconds since the epoch."""
        return _signature(self._keys[0], export_id, expires)

    def verify(self, export_id: str, expires: int, signature: str) -> bool:
        """Whether this is a signature by one of the keys."""
        given = signature.encode(errors="replace")
        # Compare all, so that the time doesn't reveal which key signed a link.
        matches = [
            hmac.compare_digest(_signature(key, export_id, expires).encode(), given)
            for key in self._keys
        ]
        return any(matches)


def parse_keys(text: str) -> list[str]:
    """Parse a comma-separated list of keys.

    Raises:
        ValueError: one is empty or given twice; the message names its number, not the key.
    """
    keys = [key.strip() for key in text.split(",")]
    for number, key in enumerate(keys, start=1):
        if not key:
            raise ValueError(f"entry {number} is empty")
        if key in keys[: number - 1]:
            raise ValueError(f"entry {number} is given twice")
    return keys


def parse_moment(text: str) -> int | None:
    """Parse a link's seconds since the epoch; None if malformed."""
    return int(text) if _MOMENT.fullmatch(text) else None


def link_end(now: float, seconds: int, expires_at: datetime | None) -> int | None:
    """When a link made now ends, in seconds since the epoch; None if its file has expired.

    It lasts ``seconds``, but not beyond ``expires_at``, when the file expires.
    """
    end = int(now) + seconds
    if expires_at is not None:
        end = min(end, int(expires_at.timestamp()))
    return end if end > now else None


def link_url(base_url: str, keys: LinkKeys, export_id: str, expires: int) -> str:
    """The link, based on the URL at which clients reach the nodes."""
    query = urlencode({"expires": expires, "signature": keys.sign(export_id, expires)})
    return f"{base_url}/export/download/{export_id}?{query}"


def _signature(key: bytes, export_id: str, expires: int) -> str:
    # The first line separates it from anything else that these keys may sign one day.
    return hmac.digest(key, f"download\n{export_id}\n{expires}".encode(), "sha256").hex()
