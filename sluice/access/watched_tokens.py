"""The tokens of a file that is reread when ``sluice tokens`` or a person changes it.

Invariant: a missing or invalid file changes nothing: the last valid tokens stay.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog

from consumer.daemon_threads import DaemonThreads
from sluice.access.token_file import KnownToken, parse_tokens, read_tokens

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class WatchedTokens:
    """The tokens by hash. An async context manager that checks the file every second.

    It reads the file without checking for changes first: that is as fast for this size, and on some
    file systems two quick changes look like one.
    """

    def __init__(self, path: Path, look_seconds: float = _LOOK_SECONDS) -> None:
        """Read the file.

        Raises:
            OSError: it can't be read.
            ValueError: a line of it is wrong.
        """
        self._path = path
        self._look_seconds = look_seconds
        self._content = read_tokens(path)
        self._by_digest = _by_digest(self._content)
        self._trouble: str | None = None
        self._thread = DaemonThreads(1, "tokens")  # the file may be on a network file system
        self._looking: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Start checking."""
        self._looking = asyncio.create_task(self._look_again(), name="tokens")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop checking."""
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking
        self._thread.shutdown()

    def find(self, digest: str) -> KnownToken | None:
        """The token with this hash."""
        return self._by_digest.get(digest)

    async def look(self) -> None:
        """Reread the file; log an error once."""
        try:
            content = await asyncio.wrap_future(self._thread.submit(read_tokens, self._path))
            if content != self._content:
                # Parse first: an invalid line leaves both unchanged.
                self._by_digest, self._content = _by_digest(content), content
                log.info("tokens read again", path=str(self._path), tokens=len(self._by_digest))
            self._trouble = None
        except OSError as error:
            self._note(f"can't be read: {error.strerror}")
        except ValueError as error:
            self._note(str(error))

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.look()

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("tokens not read again", path=str(self._path), reason=trouble)
        self._trouble = trouble


def _by_digest(content: bytes) -> Mapping[str, KnownToken]:
    return {one.digest: one for one in parse_tokens(content)}
