"""A node that dies by SIGKILL at a named step: ``python -m tests.chaos.node before-rename:2``.

It is the real ``sluice serve``. The functions of the operating system, obstore and aiokafka that a
step goes through are wrapped before it starts, so the product has no hooks. Invariant: nothing runs
in the process after the step was reached so many times; the last line of its log names the step.
"""

import asyncio
import itertools
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

import obstore
from aiokafka import AIOKafkaProducer

from consumer.storage.marks import IN_HAND

MARK = "killed at a step"
"""The event of the line that the node logs right before it dies."""

Predicate = Callable[..., bool]


class Step(StrEnum):
    """The steps of an export's way from memory to its committed event, in their order.

    Each storage has its own of those between the first and the last ones.
    """

    WRITE = "write"
    ANNOUNCE = "announce"
    UPLOAD = "upload"
    FSYNC = "fsync"
    MANIFEST = "manifest"
    RENAME = "rename"
    DIRECTORY_SYNC = "directory-sync"
    SEND = "send"
    SEND_OFFSETS = "send-offsets"
    COMMIT = "commit"


class Side(StrEnum):
    """Which side of the step the process dies on."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Point:
    """Where to die: on one side of a step, the ``times``-th time (from 1) that it is reached."""

    side: Side
    step: Step
    times: int

    def __str__(self) -> str:
        return f"{self.side}-{self.step}:{self.times}"

    @classmethod
    def parse(cls, text: str) -> "Point":
        """Read what ``str`` gives. Raises ValueError."""
        place, _, times = text.partition(":")
        side, _, step = place.partition("-")
        return cls(Side(side), Step(step), int(times or "1"))


_OF_OBJECTS = (Step.ANNOUNCE, Step.UPLOAD)
_OF_FILES = (Step.FSYNC, Step.RENAME, Step.DIRECTORY_SYNC)
POINTS = [(side, step) for step in Step if step not in _OF_OBJECTS for side in Side]
"""Those of a directory."""
POINTS_ON_OBJECTS = [(side, step) for step in Step if step not in _OF_FILES for side in Side]


class Death:
    """Counts how often the point is reached, on any thread, and kills the process there."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._reached = itertools.count(1)
        self._lock = threading.Lock()

    def at(self, side: Side, step: Step) -> None:
        """The process is on this side of this step."""
        if (side, step) != (self._point.side, self._point.step):
            return
        with self._lock:
            if next(self._reached) == self._point.times:
                self._die()

    def _die(self) -> NoReturn:
        os.write(2, json.dumps({"event": MARK, "point": str(self._point)}).encode() + b"\n")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL can't be caught")


def wrapped(
    call: Callable[..., Any], death: Death, steps: Sequence[tuple[Step, Predicate]]
) -> Callable[..., Any]:
    """A blocking call that may be one of these steps, by its arguments."""

    def watched(*args: Any, **named: Any) -> Any:
        here = [step for step, is_step in steps if is_step(*args)]
        for step in here:
            death.at(Side.BEFORE, step)
        answer = call(*args, **named)
        for step in here:
            death.at(Side.AFTER, step)
        return answer

    return watched


def wrapped_async(
    call: Callable[..., Awaitable[Any]], death: Death, step: Step, is_step: Predicate
) -> Callable[..., Awaitable[Any]]:
    """As ``wrapped``; what a send returns is waited for, so that after it the message is there."""

    async def watched(*args: Any, **named: Any) -> Any:
        here = is_step(*args)
        if here:
            death.at(Side.BEFORE, step)
        answer = await call(*args, **named)
        if here:
            if isinstance(answer, asyncio.Future):
                await asyncio.wait([answer])
            death.at(Side.AFTER, step)
        return answer

    return watched


def watch_files(death: Death) -> None:
    """Wrap what the local storage calls."""
    parts: set[int] = set()  # inodes

    def is_write(descriptor: int, *_: Any) -> bool:
        if _is_mark(descriptor):
            return False  # what is in hand is marked all the time
        parts.add(os.fstat(descriptor).st_ino)
        return True

    def is_part_sync(descriptor: int) -> bool:
        return os.fstat(descriptor).st_ino in parts  # a manifest's draft is not written by pwrite

    def is_directory_sync(descriptor: int) -> bool:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)

    def is_manifest(_source: Any, name: Any, *_: Any) -> bool:
        return str(name).endswith(".manifest.json")

    def is_publication(source: Any, *_: Any) -> bool:
        return f"{os.sep}.parts{os.sep}" in str(source)

    syncs = [(Step.FSYNC, is_part_sync), (Step.DIRECTORY_SYNC, is_directory_sync)]
    _replace(
        os,
        [
            ("pwrite", wrapped(os.pwrite, death, [(Step.WRITE, is_write)])),
            ("fsync", wrapped(os.fsync, death, syncs)),
            ("link", wrapped(os.link, death, [(Step.MANIFEST, is_manifest)])),
            ("rename", wrapped(os.rename, death, [(Step.RENAME, is_publication)])),
        ],
    )


class WatchedWriter:
    """obstore's writer of one object, which is there when it was left without an exception."""

    def __init__(self, writer: Any, death: Death) -> None:
        self._writer = writer
        self._death = death

    def __enter__(self) -> Any:
        return self._writer.__enter__()

    def __exit__(self, *raised: Any) -> Any:
        if raised[0] is None:
            self._death.at(Side.BEFORE, Step.UPLOAD)
        answer = self._writer.__exit__(*raised)
        if raised[0] is None:
            self._death.at(Side.AFTER, Step.UPLOAD)
        return answer


def watch_objects(death: Death) -> None:
    """Wrap what the storage in an object store calls."""
    open_writer = obstore.open_writer

    def is_manifest(_: Any, name: str, *__: Any) -> bool:
        return "/manifests/" in name

    def is_announcement(_: Any, name: str, *__: Any) -> bool:
        return "/uploads/" in name

    steps = [(Step.MANIFEST, is_manifest), (Step.ANNOUNCE, is_announcement)]
    _replace(
        obstore,
        [
            ("put", wrapped(obstore.put, death, steps)),
            ("open_writer", lambda *a, **more: WatchedWriter(open_writer(*a, **more), death)),
        ],
    )


def watch_transactions(death: Death) -> None:
    """Wrap the producer's calls; of transactions only those that carry a message count.

    Others, which commit progress alone, come as often as the clock wants.
    """
    carrying: set[int] = set()  # ids of producers

    def is_send(producer: Any, *_: Any) -> bool:
        carrying.add(id(producer))
        return True

    def carries(producer: Any, *_: Any) -> bool:
        return id(producer) in carrying

    def ends(producer: Any, *_: Any) -> bool:
        carried = carries(producer)
        carrying.discard(id(producer))
        return carried

    kafka = AIOKafkaProducer
    send_offsets = kafka.send_offsets_to_transaction
    _replace(
        kafka,
        [
            ("send", wrapped_async(kafka.send, death, Step.SEND, is_send)),
            (send_offsets.__name__, wrapped_async(send_offsets, death, Step.SEND_OFFSETS, carries)),
            (
                "commit_transaction",
                wrapped_async(kafka.commit_transaction, death, Step.COMMIT, ends),
            ),
        ],
    )


def _is_mark(descriptor: int) -> bool:
    return IN_HAND in Path(f"/proc/self/fd/{descriptor}").readlink().parts


def _replace(owner: Any, calls: Iterable[tuple[str, Any]]) -> None:
    for name, call in calls:
        setattr(owner, name, call)


def main() -> None:
    """Run the node that the environment sets up, until it reaches the point."""
    death = Death(Point.parse(sys.argv[1]))
    watch_files(death)
    watch_objects(death)
    watch_transactions(death)
    from sluice.cli import main as command  # noqa: PLC0415 - after the calls are wrapped

    sys.argv[1:] = ["serve"]
    command()


if __name__ == "__main__":
    main()
