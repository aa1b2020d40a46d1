"""The broker of a storm: the embedded Kafka with a second listener, which is behind a proxy.

A client that comes through the proxy gets the proxy's address, so all it does goes that way.
"""

import asyncio
import contextlib
import socket
from pathlib import Path

from broker.config import server_properties
from broker.embedded import EmbeddedKafka
from broker.ports import LOOPBACK, pick_free_port
from tests.chaos.proxy import Proxy

_BEHIND = "BEHIND"


class StormBroker:
    """Started in the main thread, killed and started again; ``servers`` and ``proxied_servers``."""

    def __init__(self, directory: Path, **properties: str) -> None:
        ports: list[int] = []
        while len(ports) < 4:
            port = pick_free_port()
            ports += [port] if port not in ports else []
        self._port, behind, self._proxy_port, controller = ports
        self.proxy = Proxy(self._proxy_port, behind)
        usual = server_properties(self._port, controller, "")
        names = ("listeners", "advertised.listeners", "listener.security.protocol.map")
        mine = {name: usual[name] for name in (*names, "controller.quorum.voters")}
        mine["listeners"] += f",{_BEHIND}://{LOOPBACK}:{behind}"
        mine["advertised.listeners"] += f",{_BEHIND}://{LOOPBACK}:{self._proxy_port}"
        mine["listener.security.protocol.map"] += f",{_BEHIND}:PLAINTEXT"
        self._kafka = EmbeddedKafka(directory, self._port, properties=mine | properties)

    @property
    def servers(self) -> str:
        return f"{LOOPBACK}:{self._port}"

    @property
    def proxied_servers(self) -> str:
        return f"{LOOPBACK}:{self._proxy_port}"

    async def start(self) -> None:
        # Linux kills Kafka when the thread that spawned it ends, so that has to be this one.
        self._kafka.spawn()
        await asyncio.to_thread(self._kafka.wait_ready)

    def kill(self) -> None:
        self._kafka.kill()

    def stop(self) -> None:
        self._kafka.stop()

    def refuses(self) -> bool:
        """Whether nobody listens on its port."""
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex((LOOPBACK, self._port)) != 0
