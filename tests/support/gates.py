"""Gates of nodes that have a token file, and the tokens in it."""

import hashlib
from pathlib import Path

from sluice.access.gate import AccessGate
from sluice.access.watched_tokens import WatchedTokens


def digest(token: str) -> str:
    """What a token file has of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def gate_with_file(directory: Path, **roles_by_user: str) -> AccessGate:
    """A gate for alice by the settings, and for these by a file; USER's token is ``t-USER``."""
    file = directory / "tokens.txt"
    lines = [f"{digest(f't-{user}')}:{user}:{role}\n" for user, role in roles_by_user.items()]
    file.write_text("".join(lines))
    return AccessGate({"t-alice": "alice"}, WatchedTokens(file))
