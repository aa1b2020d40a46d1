"""The credentials of an embedded object store, kept in a file of its data directory.

Invariant: they are generated once at random and then kept, so that clients set up for a store still
work after a restart. To choose them, write the file before the first start.
"""

import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from broker.errors import ServerError

_NAMES = ("access_key_id", "secret_access_key")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that requests are signed with; no ``repr`` shows the secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def random(cls) -> "Credentials":
        """New random credentials."""
        return cls(f"SLUICE{secrets.token_hex(7).upper()}", secrets.token_hex(20))

    @classmethod
    def read(cls, path: Path) -> "Credentials | None":
        """Read the file; None if it doesn't exist.

        Raises:
            ServerError: it has other content, which the message doesn't show.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
            read = cls(*(found[name] for name in _NAMES))
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError):
            read = None
        if read is None or not all(_is_usable(value) for value in asdict(read).values()):
            raise ServerError(
                f"{path} has to hold one JSON object with the strings {' and '.join(_NAMES)}; "
                "remove it to have new ones made"
            )
        return read

    def as_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=2) + "\n"


def _is_usable(value: object) -> bool:
    """Whether it fits into an HTTP header unescaped."""
    return isinstance(value, str) and re.fullmatch("[!-~]+", value) is not None
