"""The credentials of an embedded object store, kept in a file of its data directory.

Invariant: generated at random once and then kept, so that what was set up for a store still fits it
after a restart. To choose them, write the file before the first start.
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
    """What requests are signed with; the secret is in no ``repr``."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def random(cls) -> "Credentials":
        """New ones that nobody can guess."""
        return cls(f"SLUICE{secrets.token_hex(7).upper()}", secrets.token_hex(20))

    @classmethod
    def read(cls, path: Path) -> "Credentials | None":
        """What the file holds; None if there is none.

        Raises:
            ServerError: it holds something else; the message has nothing of what it holds.
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
    """Whether it fits into an HTTP header as it is."""
    return isinstance(value, str) and re.fullmatch("[!-~]+", value) is not None
