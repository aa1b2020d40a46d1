"""One Apache Kafka broker as a child process: started, waited for, stopped, killed.

What it is made of lives elsewhere: the jars, its configuration, its data directory.

Invariant: Kafka's process never outlives ours, as far as the system allows (see ``launch``).
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.config import server_properties
from broker.directory import PROPERTIES, STORAGE, DataDirectory
from broker.errors import BrokerError, BrokerInterruptedError, PortTakenError
from broker.jars import cache_directory, class_path, locked_jars
from broker.java import start_java
from broker.kafka_log import LOGGING, STARTED, last_error, taken_port
from broker.ports import LOOPBACK, pick_free_port, require_free

_POLL_SECONDS = 0.05
_MOST_STARTS = 3


class EmbeddedKafka:
    """A real broker on 127.0.0.1, its data in ``data_dir``; it can be started again on it.

    As a context manager it is started and stopped. ``start`` does ``spawn`` and ``wait_ready``.
    Call ``start`` or ``spawn`` in a thread that lives as long as the broker is wanted, such as the
    main thread: on Linux Kafka is killed when the thread that spawned it ends. ``prepare``,
    ``wait_ready``, ``stop`` and ``kill`` can run in any thread.

    Args:
        data_dir: where everything of this broker is; made if missing.
        port: where it listens; 0 picks a free one, which this object then keeps.
        properties: server properties that go before the usual ones (``broker.config``).
        heap_mib: the most memory for Java's heap, in MiB.
        java_options: further options of Java, after the usual ones (``broker.java``).
        notice: called with one line when jars have to be fetched first.
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
        self._directory = DataDirectory(data_dir.absolute())
        self._port = port
        self._properties = dict(properties or {})
        self._heap_mib = heap_mib
        self._java_options = tuple(java_options)
        self._notice = notice
        self._process: subprocess.Popen[bytes] | None = None
        # Not a threading.Event: setting one in a signal handler can deadlock with its wait.
        self._interrupted = False

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients; known from ``spawn`` on, and kept over a restart."""
        if not self._port:
            raise BrokerError("the embedded Kafka has no port before it is started")
        return f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Kafka's process id while it was not stopped or killed."""
        return self._process.pid if self._process else None

    @property
    def log_path(self) -> Path:
        """The file with Kafka's log since it was started last."""
        return self._directory.log_path

    def prepare(self) -> str:
        """Have Kafka's jars cached and verified; the class path.

        Raises:
            BrokerError: they can't be fetched, or differ from what was locked.
        """
        return class_path(locked_jars(), cache_directory(), notice=self._notice)

    def start(self) -> None:
        """Start Kafka and return when it is ready; after an error nothing is left running.

        Raises:
            BrokerError: in one line, why it can't be had.
            PortTakenError: the requested or the previous port is taken.
            BrokerInterruptedError: ``interrupt`` was called.
        """
        self._require_ended()
        kept = self._port
        for _ in range(_MOST_STARTS - 1):
            try:
                return self._start_once()
            except PortTakenError as error:
                if error.port == kept:
                    raise
        return self._start_once()

    def spawn(self) -> None:
        """Start Kafka's process, without waiting until it is ready.

        Raises:
            BrokerError: as ``start``.
        """
        self._require_ended()
        jars = self.prepare()
        if self._port:
            require_free(self._port)
        port = self._port or pick_free_port()
        properties = (
            server_properties(port, pick_free_port(besides=port), STORAGE) | self._properties
        )
        options = [f"-Xmx{self._heap_mib}m", *LOGGING, *self._java_options, "-cp", jars]
        with self._directory.claimed() as lock:
            self._directory.format(properties, jars, lock)
            self._directory.write_properties(properties)
            self._process = start_java(
                [*options, "kafka.Kafka", PROPERTIES],
                directory=self._directory.path,
                output=self.log_path,
                inherited=lock,
            )
        self._port = port

    def wait_ready(self, timeout_seconds: float = 120) -> None:
        """Return when Kafka serves clients.

        Raises:
            BrokerError: it ended, or the time has passed.
            PortTakenError: another process took one of its ports.
            BrokerInterruptedError: ``interrupt`` was called.
        """
        deadline = time.monotonic() + timeout_seconds
        while STARTED not in self._directory.read_log():
            if ended := self._ended():
                raise ended
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka is not ready after {timeout_seconds:g} s; its log is {self.log_path}"
                )
            time.sleep(_POLL_SECONDS)

    def wait(self) -> BrokerError:
        """Wait until Kafka ends by itself; why it did.

        Raises:
            BrokerInterruptedError: ``interrupt`` was called.
        """
        while (ended := self._ended()) is None:
            time.sleep(_POLL_SECONDS)
        return ended

    def interrupt(self) -> None:
        """Make ``wait_ready`` and ``wait`` raise, now and later. A signal handler may call it."""
        self._interrupted = True

    def stop(self, timeout_seconds: float = 10) -> None:
        """Shut Kafka down; kill it after a timeout. No-op without a process."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would. Without a process, nothing."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _require_ended(self) -> None:
        if self._process and self._process.poll() is None:
            raise BrokerError(f"the embedded Kafka runs already, as process {self.pid}")

    def _start_once(self) -> None:
        kept = self._port
        try:
            self.spawn()
            self.wait_ready()
        except BaseException:
            self.stop()
            self._port = kept
            raise

    def _ended(self) -> BrokerError | None:
        if self._interrupted:
            raise BrokerInterruptedError("the embedded Kafka was interrupted")
        if self._process is None:
            raise BrokerError("the embedded Kafka was not started, or was stopped")
        status = self._process.poll()
        return None if status is None else self._obituary(status)

    def _obituary(self, status: int) -> BrokerError:
        log = self._directory.read_log()
        if port := taken_port(log):
            return PortTakenError(port)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        words = [f"Kafka {how}", last_error(log), f"its log is {self.log_path}"]
        return BrokerError("; ".join(filter(None, words)))
