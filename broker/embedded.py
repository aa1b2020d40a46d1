"""The embedded Kafka: one real broker, which is its own controller.

Invariant: everything Kafka needs is in its data directory: ``kafka-logs``
(``broker.kafka_storage``) and the configuration (``broker.config``).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from broker.config import LOGGING, STARTED, server_properties
from broker.directory import PROPERTIES, DataDirectory
from broker.jars import Distribution, locked_kafka
from broker.kafka_storage import STORAGE, format_storage
from broker.ports import LOOPBACK, pick_free_port
from broker.server import EmbeddedServer


class EmbeddedKafka(EmbeddedServer):
    """A real broker on 127.0.0.1, its data in ``data_dir``; see ``EmbeddedServer``.

    Args:
        data_dir: where everything of this broker is; made if missing.
        port: where it listens; 0 picks a free one, which this object then keeps.
        properties: server properties that go before the usual ones (``broker.config``).
        heap_mib: the most memory for Java's heap, in MiB.
        java_options: further options of Java, after the usual ones (``broker.java``).
        notice: called with lines while jars have to be fetched first.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        properties: Mapping[str, str] | None = None,
        heap_mib: int = 512,
        java_options: Sequence[str] = (),
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            DataDirectory(data_dir.absolute(), "Kafka"),
            port,
            heap_mib=heap_mib,
            java_options=(*LOGGING, *java_options),
            notice=notice,
        )
        self._properties = dict(properties or {})

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients; known from ``spawn`` on, and kept over a restart."""
        return f"{LOOPBACK}:{self.port}"

    def _distribution(self) -> Distribution:
        return locked_kafka()

    def _configure(self, port: int, jars: str, lock: int) -> Sequence[str]:
        usual = server_properties(port, pick_free_port(besides=port), STORAGE)
        properties = usual | self._properties
        format_storage(self._directory, properties, self._distribution(), jars, lock)
        self._directory.write_properties(properties)
        return ("kafka.Kafka", PROPERTIES)

    def _is_up(self, log: str) -> bool:
        return STARTED in log
