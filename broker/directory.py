"""A server's data directory: its lock, configuration and log.

Layout: ``server.properties``, ``NAME.log``, ``lock``, and what the server keeps.

Invariant: one server at a time. The server's process inherits the lock, so it is held as long as
that process lives.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.config import render
from broker.errors import ServerError
from broker.file_lock import lock

PROPERTIES = "server.properties"
_LOG_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory that holds the data of one server named ``server``; made when it is claimed."""

    path: Path
    server: str

    @property
    def log_path(self) -> Path:
        """The server's output since its last start."""
        return self.path / f"{self.server.lower()}.log"

    @contextmanager
    def claimed(self) -> Iterator[int]:
        """Hold the lock; its descriptor, for the server's process to inherit.

        Raises:
            ServerError: another server uses the directory, or it can't be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = lock(self.path / "lock", wait=False)
        except BlockingIOError:
            raise ServerError(
                f"another {self.server} runs on the data directory {self.path}"
            ) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            yield descriptor
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            # The server's process has inherited it, and so keeps the lock.
            os.close(descriptor)

    def write(self, name: str, text: str) -> None:
        """Write the whole file ``name``, which may hold secrets: only its owner may read it."""
        partial = self.path / f"{name}.partial"
        partial.unlink(missing_ok=True)  # a file keeps the permissions it was created with
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(self.path / name)

    def write_properties(self, properties: Mapping[str, str]) -> None:
        """Write the server's configuration."""
        self.write(PROPERTIES, render(properties))

    def read_log(self) -> str:
        """The end of the server's log; empty if there is none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _unusable(self, error: OSError) -> ServerError:
        return ServerError(f"the data directory {self.path} can't be used: {error}")
