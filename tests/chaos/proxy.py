"""A network between one node and the broker that can be cut and restored: a TCP proxy.

A cut is silent, as when packets are dropped: connections stay, nothing passes, and what was sent
meanwhile arrives late, when it is restored. A reset closes them and lets none in. A cut can also
wait for a request of some kind, and strike right before or right after it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
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
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._awaited: tuple[int, bool] | None = None
        self.struck = asyncio.Event()
        self.held_bytes = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.reset()
        self._passes.set()
        while self._serving:
            await asyncio.wait(self._serving)
        await asyncio.sleep(0)  # what was aborted closes its socket in the loop's next round

    def cut(self) -> None:
        """Let nothing pass."""
        self.held_bytes = 0
        self._passes.clear()

    def cut_at(self, api_key: int, *, answer: bool) -> None:
        """Cut once a request of this API (Kafka's number) comes; ``struck`` tells that it did.

        Only its ``answer`` is held back then, or else the request too.
        """
        self.struck.clear()
        self._awaited = (api_key, answer)

    def reset(self) -> None:
        """Close every connection, and each new one at once."""
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let everything pass again; what was held back comes first."""
        self._refuses = False
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            await self._passes.wait()
            if not self._refuses:
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
        if self._refuses:
            self.reset()  # it came in before, and was connected after
        pumps = [
            asyncio.ensure_future(self._pump(reader, far_writer, requests=True)),
            asyncio.ensure_future(self._pump(far_reader, writer, requests=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= writers
            for pump in pumps:
                pump.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if requests and self._awaited and self._awaited[0] in api_keys(piece):
                    answer = self._awaited[1]
                    self._awaited = None
                    self.struck.set()
                    if answer and self._passes.is_set():
                        writer.write(piece)
                        self.cut()  # nobody has read the answer yet
                        continue
                    self.cut()
                if not self._passes.is_set():
                    self.held_bytes += len(piece)
                    await self._passes.wait()
                writer.write(piece)
                await writer.drain()


def api_keys(piece: bytes) -> Iterator[int]:
    """Of the requests in a piece that begins with one, as aiokafka writes them one by one."""
    start = 0
    while start + 6 <= len(piece):
        yield int.from_bytes(piece[start + 4 : start + 6])
        start += 4 + int.from_bytes(piece[start : start + 4])
