"""HTTP by hand: requests that no client library would send. Answers are read as far as the status.

Invariant: whatever the server does, a call ends within its time; what it came to is a word.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_MOST_SECONDS = 240.0
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, pieces: Iterable[bytes], pause_seconds: float = 0) -> None:
        """Send all, waiting for room; stop when the server hangs up or has answered."""
        with contextlib.suppress(OSError):
            for piece in pieces:
                for start in range(0, len(piece), _PIECE_BYTES):
                    self.writer.write(piece[start : start + _PIECE_BYTES])
                    await self.writer.drain()
                    if self.writer.is_closing() or self.reader.at_eof():
                        return
                if pause_seconds:
                    await asyncio.sleep(pause_seconds)

    async def status(self, seconds: float = _MOST_SECONDS) -> str:
        """The status of the answer; ``closed`` or ``no answer`` where there is none."""
        try:
            async with asyncio.timeout(seconds):
                line = await self.reader.readline()
        except TimeoutError:
            return "no answer"
        except (OSError, ValueError):
            return "closed"
        return line[9:12].decode("latin-1") if line else "closed"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection for the block. Raises OSError."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchanged(url: str, pieces: Iterable[bytes], pause_seconds: float = 0) -> str:
    """Send and see the status, on a connection of its own. An answer may come before the end."""
    try:
        async with connected(url) as connection:
            sending = asyncio.create_task(connection.send(pieces, pause_seconds))
            try:
                return await connection.status()
            finally:
                sending.cancel()
                await asyncio.wait([sending])
    except OSError:
        return "refused"


def post(path: str, kind: str, body_bytes: int | None, *headers: str) -> bytes:
    """The head of a POST; without a length it is chunked."""
    length = "Transfer-Encoding: chunked" if body_bytes is None else f"Content-Length: {body_bytes}"
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Type: {kind}", length, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Pieces as chunks of a body, and its end."""
    for piece in pieces:
        if piece:
            yield b"%x\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\n\r\n"
