"""A broker's data directory: who uses it, and Kafka's storage in it, formatted once.

Layout: ``kafka-logs`` (Kafka's own), ``server.properties``, ``kafka.log``, ``lock``.

Invariants: one broker at a time, by a lock that Kafka's process inherits, so that it is held as
long as that lives. ``kafka-logs`` exists only formatted.
"""

import base64
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.config import render
from broker.errors import BrokerError
from broker.file_lock import lock
from broker.java import run_java
from broker.kafka_log import LOGGING, last_error

STORAGE = "kafka-logs"
PROPERTIES = "server.properties"
_UNFINISHED_STORAGE = "kafka-logs.partial"
_LOG_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory that holds one broker's data; made when it is claimed."""

    path: Path

    @property
    def log_path(self) -> Path:
        """What Kafka printed since it was started last."""
        return self.path / "kafka.log"

    @contextmanager
    def claimed(self) -> Iterator[int]:
        """Hold the lock; its descriptor, for Kafka's process to inherit.

        Raises:
            BrokerError: another broker uses the directory, or it can't be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = lock(self.path / "lock", wait=False)
        except BlockingIOError:
            raise BrokerError(f"another broker runs on the data directory {self.path}") from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            yield descriptor
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            os.close(descriptor)

    def write_properties(self, properties: Mapping[str, str]) -> None:
        """Write Kafka's configuration."""
        (self.path / PROPERTIES).write_text(render(properties), "ascii")

    def format(self, properties: Mapping[str, str], class_path: str, inherited: int) -> None:
        """Make Kafka's storage with a new cluster id, unless it's there.

        Raises:
            BrokerError: Kafka refuses, in its own words.
        """
        if (self.path / STORAGE).is_dir():
            return
        shutil.rmtree(self.path / _UNFINISHED_STORAGE, ignore_errors=True)
        self.write_properties({**properties, "log.dirs": _UNFINISHED_STORAGE})
        tool = ["-Xmx128m", *LOGGING, "-cp", class_path, "kafka.tools.StorageTool", "format"]
        status = run_java(
            [*tool, f"--cluster-id={_new_cluster_id()}", "-c", PROPERTIES],
            directory=self.path,
            output=self.log_path,
            inherited=inherited,
        )
        if status != 0:
            raise BrokerError(f"Kafka can't format {self.path}: {last_error(self.read_log())}")
        (self.path / _UNFINISHED_STORAGE).rename(self.path / STORAGE)

    def read_log(self) -> str:
        """The end of Kafka's log; empty if there is none."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _unusable(self, error: OSError) -> BrokerError:
        return BrokerError(f"the data directory {self.path} can't be used: {error}")


def _new_cluster_id() -> str:
    # As Kafka's Uuid.randomUuid: base64 without padding.
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
