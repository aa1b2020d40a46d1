"""One Java server on 127.0.0.1 as a child process: started, waited for, stopped, killed.

Other modules define which server it is, its jars, its configuration and its data directory.

Invariant: the server's process never outlives ours, as far as the system allows (see ``launch``).
"""

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.class_archive import archive_options, recorded
from broker.directory import DataDirectory
from broker.errors import PortTakenError, ServerError, ServerInterruptedError
from broker.jars import Distribution, class_path
from broker.java import start_java
from broker.ports import pick_free_port, require_free
from broker.server_log import last_error, taken_port

_POLL_SECONDS = 0.05
# A port that was picked can be taken before it is bound.
_MOST_STARTS = 3
_RECORDING_SECONDS = 120


class EmbeddedServer(ABC):
    """A real server on 127.0.0.1 with a data directory; it can be started again on it.

    As a context manager it is started and stopped. ``start`` does ``spawn`` and ``wait_ready``.
    Call ``start`` or ``spawn`` in a thread that lives as long as the server is wanted, such as the
    main thread: on Linux it is killed when the thread that spawned it ends. ``prepare``,
    ``wait_ready``, ``stop`` and ``kill`` can run in any thread.

    Args:
        directory: where everything of this server is; made if missing. It names the server.
        port: where it listens; 0 picks a free one, which this object then keeps.
        heap_mib: the most memory for Java's heap, in MiB.
        java_options: further options of Java, after the usual ones (``broker.java``).
        notice: called with lines while jars have to be fetched first.
    """

    def __init__(
        self,
        directory: DataDirectory,
        port: int,
        *,
        heap_mib: int,
        java_options: Sequence[str],
        notice: Callable[[str], None] | None,
    ) -> None:
        self._directory = directory
        self._port = port
        self._options = (f"-Xmx{heap_mib}m", *java_options)
        self._notice = notice
        self._process: subprocess.Popen[bytes] | None = None
        # Not a threading.Event: setting one in a signal handler can deadlock with its wait.
        self._interrupted = False
        self._recording: tuple[str, ...] = ()

    @abstractmethod
    def _distribution(self) -> Distribution:
        """Its jars."""

    @abstractmethod
    def _configure(self, port: int, jars: str, lock: int) -> Sequence[str]:
        """Write its configuration; returns Java's arguments after ``-cp jars``.

        ``lock`` is the descriptor that its processes inherit.
        """

    @abstractmethod
    def _is_up(self, log: str) -> bool:
        """Whether its log says that it serves clients."""

    @property
    def pid(self) -> int | None:
        """The server's process id, until it is stopped or killed."""
        return self._process.pid if self._process else None

    @property
    def port(self) -> int:
        """Where it listens; known from ``spawn`` on, and kept over a restart."""
        if not self._port:
            raise ServerError(f"the embedded {self._name} has no port before it is started")
        return self._port

    @property
    def log_path(self) -> Path:
        """The file with the server's log since it was started last."""
        return self._directory.log_path

    def prepare(self) -> str:
        """Fetch and verify the server's jars; returns the class path.

        Raises:
            ServerError: they can't be fetched, or differ from what was locked.
        """
        distribution = self._distribution()
        return class_path(distribution, distribution.cache_directory(), notice=self._notice)

    def start(self) -> None:
        """Start the server and return when it is ready; after an error nothing is left running.

        Raises:
            ServerError: in one line, why it can't run.
            PortTakenError: the requested or the previous port is taken.
            ServerInterruptedError: ``interrupt`` was called.
        """
        self._require_ended()
        kept = self._port
        for _ in range(_MOST_STARTS - 1):
            try:
                return self._start_once()
            except PortTakenError as error:
                # Clients know this port: it was requested, or is kept over a restart.
                if error.port == kept:
                    raise
        return self._start_once()

    def spawn(self) -> None:
        """Start the server's process, without waiting until it is ready.

        Raises:
            ServerError: as ``start``.
        """
        self._require_ended()
        jars = self.prepare()
        if self._port:
            require_free(self._port)
        port = self._port or pick_free_port()
        with self._directory.claimed() as lock:
            program = self._configure(port, jars, lock)
            archive = self._recording or archive_options(self._distribution())
            self._process = start_java(
                [*self._options, *archive, "-cp", jars, *program],
                directory=self._directory.path,
                output=self.log_path,
                inherited=lock,
            )
        self._port = port

    def wait_ready(self, timeout_seconds: float = 120) -> None:
        """Return when the server serves clients.

        Raises:
            ServerError: it ended, or the time has passed.
            PortTakenError: another process took one of its ports.
            ServerInterruptedError: ``interrupt`` was called.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._is_up(self._directory.read_log()):
            if ended := self._ended():
                raise ended
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self._name} is not ready after {timeout_seconds:g} s; "
                    f"its log is {self.log_path}"
                )
            time.sleep(_POLL_SECONDS)

    def wait(self) -> ServerError:
        """Wait until the server ends by itself; returns why it did.

        Raises:
            ServerInterruptedError: ``interrupt`` was called.
        """
        while (ended := self._ended()) is None:
            time.sleep(_POLL_SECONDS)
        return ended

    def interrupt(self) -> None:
        """Make ``wait_ready`` and ``wait`` raise, now and later. A signal handler may call it."""
        self._interrupted = True

    def stop(self, timeout_seconds: float = 10) -> None:
        """Shut the server down; kill it after a timeout. No-op without a process."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(timeout_seconds)
            except BaseException as error:
                # Interrupted or too slow: it must be gone before its data is removed.
                self.kill()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
            self._process = None

    def record_classes(self) -> None:
        """Start and stop it so that Java writes its class archive, unless there is one.

        Raises:
            ServerError: as ``start``.
        """
        with recorded(self._distribution()) as options:
            if options is not None:
                self._recording = options
                self.start()
                self.stop(_RECORDING_SECONDS)
                self._recording = ()

    def kill(self) -> None:
        """Send SIGKILL, like a crash. No-op without a process."""
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

    @property
    def _name(self) -> str:
        return self._directory.server

    def _require_ended(self) -> None:
        if self._process and self._process.poll() is None:
            raise ServerError(f"the embedded {self._name} runs already, as process {self.pid}")

    def _start_once(self) -> None:
        kept = self._port
        try:
            self.spawn()
            self.wait_ready()
        except BaseException:
            self.stop()
            # Unless this port was requested, the next start picks another.
            self._port = kept
            raise

    def _ended(self) -> ServerError | None:
        if self._interrupted:
            raise ServerInterruptedError(f"the embedded {self._name} was interrupted")
        if self._process is None:
            raise ServerError(f"the embedded {self._name} was not started, or was stopped")
        status = self._process.poll()
        return None if status is None else self._why_it_ended(status)

    def _why_it_ended(self, status: int) -> ServerError:
        log = self._directory.read_log()
        if port := taken_port(log):
            return PortTakenError(port)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        words = [f"{self._name} {how}", last_error(log), f"its log is {self.log_path}"]
        return ServerError("; ".join(filter(None, words)))
