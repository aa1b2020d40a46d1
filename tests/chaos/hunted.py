"""The broker of a hunt: any version of Kafka, its commits' log in many small segments or in one.

Invariant: a life is one process, from ``spawn`` to a kill or a stop, with settings of its own; the
data directory and the port stay.
"""

import asyncio
import os
import random
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from broker.embedded import EmbeddedKafka
from broker.jars import Distribution, locked_kafka
from broker.java import java_executable
from broker.ports import pick_free_port
from broker.update_checksums import resolved_kafka

_HEAP_MIB = 200
_LOGS_KEPT = 4
_TELLING = (
    "kafka.coordinator",
    "kafka.log",
    "org.apache.kafka.coordinator",
    "org.apache.kafka.storage.internals.log",
)
_ALWAYS = {
    # One log holds all commits, so what is lost in it is of all partitions alike.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "log.initial.task.delay.ms": "100",
}


class Shape(StrEnum):
    """What the commits' log looks like."""

    COMPACTED = "compacted"
    """A new segment several times a second, all but the last compacted at once."""
    LONG = "long"
    """Kafka's defaults: one segment, as every storm has had, longer than what is loaded at once."""


@dataclass(frozen=True, slots=True)
class Version:
    """A Kafka by its jars."""

    distribution: Distribution

    @classmethod
    def named(cls, version: str) -> "Version":
        """The locked one, or what the Maven repository serves by that name."""
        locked = locked_kafka()
        if version in ("", locked.version):
            return cls(locked)
        return cls(replace(locked, jars=resolved_kafka(version)))

    def __str__(self) -> str:
        return self.distribution.version


@dataclass(frozen=True, slots=True)
class Prey:
    """What is hunted. ``load_bytes`` are read at a time as commits are loaded; 0 is by chance.

    ``session_ms``: until a killed broker's registration ends. Its successor loads the commits under
    the old registration, and once more under its own.
    """

    version: Version
    shape: Shape
    session_ms: int
    load_bytes: int

    def __str__(self) -> str:
        return f"{self.version}-{self.shape}-{self.session_ms}-{self.load_bytes}"


class HuntedKafka(EmbeddedKafka):
    """One life, of a version."""

    def __init__(self, version: Version, directory: Path, port: int, **options: object) -> None:
        super().__init__(directory, port, heap_mib=_HEAP_MIB, **options)  # type: ignore[arg-type]
        self._version = version

    def _distribution(self) -> Distribution:
        return self._version.distribution


class Hunted:
    """The broker, life after life, in ``directory``."""

    def __init__(self, prey: Prey, directory: Path, chance: random.Random) -> None:
        self._prey = prey
        self._directory = directory
        self._chance = chance
        self._port = pick_free_port()
        self._kafka = self._life({})
        self._lives = 0

    @property
    def servers(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._port}"

    @property
    def commits(self) -> Path:
        """Where the log of commits is."""
        return self._directory / "kafka-logs" / "__consumer_offsets-0"

    def spawn(self) -> dict[str, str]:
        """Begin a life, in the main thread; its settings."""
        log = self._directory / "kafka.log"
        if log.exists():
            log.rename(self._directory / f"kafka.log.{self._lives % _LOGS_KEPT}")
        self._lives += 1
        settings = self._settings()
        self._kafka = self._life(settings)
        self._kafka.spawn()
        return settings

    async def ready(self) -> None:
        """Until it serves clients. ServerError: it ended, by itself or not."""
        await asyncio.to_thread(self._kafka.wait_ready)

    def kill(self) -> None:
        """SIGKILL."""
        self._kafka.kill()

    async def stop(self, kill_after_seconds: float = 60) -> None:
        """SIGTERM, and SIGKILL after that time."""
        await asyncio.to_thread(self._kafka.stop, kill_after_seconds)

    def keep(self, into: Path) -> None:
        """Copy what it has on disk, and the logs of its last lives."""
        shutil.copytree(self._directory, into, dirs_exist_ok=True)

    def _life(self, settings: Mapping[str, str]) -> HuntedKafka:
        properties = {**_ALWAYS, **settings}
        telling = [f"-Dorg.slf4j.simpleLogger.log.{name}=info" for name in _TELLING]
        return HuntedKafka(
            self._prey.version,
            self._directory,
            self._port,
            properties=properties,
            java_options=telling,
        )

    def _settings(self) -> dict[str, str]:
        pick = self._chance.choice
        usual = {
            "offsets.load.buffer.size": str(
                self._prey.load_bytes or pick([5 * 1024 * 1024, 20_000])
            ),
            "broker.session.timeout.ms": str(self._prey.session_ms),
            "broker.heartbeat.interval.ms": str(self._prey.session_ms // 4),
        }
        if self._prey.shape is Shape.LONG:
            return usual
        return usual | {
            "log.roll.ms": pick(["100", "250", "700"]),
            "log.cleaner.backoff.ms": pick(["20", "200"]),
            "log.cleaner.min.cleanable.ratio": pick(["0.001", "0.3"]),
            # How long the markers that end transactions stay after the commits they ended.
            "log.cleaner.delete.retention.ms": pick(["1", "1000", "86400000"]),
            "log.segment.delete.delay.ms": pick(["100", "60000"]),
            "log.flush.offset.checkpoint.interval.ms": pick(["100", "60000"]),
        }


def java_version() -> str:
    """The first line that Java says of itself."""
    done = subprocess.run(
        [java_executable(), "-version"], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()[0]


async def until_file(directory: Path, suffix: str, then_seconds: float, within: float = 3) -> bool:
    """Until a new file of that kind lies there, and then some; false if there is none in time."""
    before = _names(directory, suffix)
    until = time.monotonic() + within
    while time.monotonic() < until:
        if _names(directory, suffix) - before:
            time.sleep(then_seconds)  # noqa: ASYNC251 - some milliseconds, to be exact
            return True
        await asyncio.sleep(0.001)
    return False


def _names(directory: Path, suffix: str) -> set[str]:
    return {entry.name for entry in os.scandir(directory) if entry.name.endswith(suffix)}
