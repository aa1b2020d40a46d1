"""A network between one node and the broker that can be cut and mended: a TCP proxy.

A cut is silent, as when packets are dropped: connections stay, nothing passes, and what was sent
meanwhile arrives late, when it is mended. A reset closes them and lets none in.
"""

import asyncio
import contextlib
from typing import Self

from broker.ports import LOOPBACK

_PIECE_BYTES = 64 * 1024


class Proxy:
    """Listens on ``port`` and forwards to ``target_port``, both on this machine."""

    def __init__(self, port: int, target_port: int) -> None:
        self._port = port
        self._target_port = target_port
        self._passes = asyncio.Event()
        self._passes.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.held_bytes = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.reset()
        self._passes.set()

    def cut(self) -> None:
        """Let nothing pass."""
        self.held_bytes = 0
        self._passes.clear()

    def reset(self) -> None:
        """Close every connection, and each new one at once."""
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let everything pass again; what was held back comes first."""
        self._refuses = False
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        try:
            if self._refuses:
                return
            there = await asyncio.open_connection(LOOPBACK, self._target_port)
            await self._join(reader, writer, *there)
        except OSError:  # the broker is away, or an end has closed
            return
        finally:
            writer.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        writers = {writer, far_writer}
        self._writers |= writers
        pumps = [
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= writers
            for pump in pumps:
                pump.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if not self._passes.is_set():
                    self.held_bytes += len(piece)
                    await self._passes.wait()
                writer.write(piece)
                await writer.drain()
