"""``python -m bench.traced_node FILE``: ``sluice serve`` with a stopwatch on each stage.

A stage's CPU seconds are those of its own thread: what waits for Python's lock, for Kafka or for
the disk counts as nothing. (py-spy took waits for that lock after sha256 for a quarter of all.)
Written to FILE as JSON when the node ends. Invariant: the node does all that it
does without stopwatches.
"""

import contextlib
import functools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

from consumer.core.batch_sequence import Pieces
from consumer.exports import batch_routing
from consumer.exports.partition import PartitionExports
from consumer.formats.csv import CsvWriter
from consumer.formats.pdf import PdfWriter
from consumer.lanes.transactions import PartitionProducer
from consumer.storage.local import LocalPart, LocalStorage
from sluice.commands.serve import serve

T = TypeVar("T")

STAGES: dict[str, list[tuple[Any, str]]] = {
    "decode": [(batch_routing, "decode_batch"), (Pieces, "__next__")],
    # A native encoder decodes as well.
    "encode": [
        *((CsvWriter, "append"), (PdfWriter, "append")),
        (batch_routing, "encoded_batch"),
    ],
    "hash": [(LocalPart, "append")],
    "write": [
        *((LocalPart, name) for name in ("flush", "sync", "publish")),
        *((LocalStorage, name) for name in ("decide", "settle")),
    ],
    "turn": [(PartitionExports, "turn")],
}
"""What is timed, by stage; a turn holds all the others."""


class Stopwatches:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def watch(self, owner: Any, name: str, stage: str) -> None:  # noqa: ANN401 - class or module
        """Time a function of a class or module from now on."""
        setattr(owner, name, self._timed(getattr(owner, name), stage))

    def watch_coroutine(self, owner: type, name: str, stage: str) -> None:
        """Time a coroutine function's own steps, not what else the loop does meanwhile."""
        function = getattr(owner, name)

        @functools.wraps(function)
        async def timed(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the function
            return await _Steps(function(*args, **options), self.seconds, stage)

        setattr(owner, name, timed)

    def watch_pieces(self, owner: type, name: str, stage: str) -> None:
        """Time each step of a generator function."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Iterator[Any]:  # noqa: ANN401 - as the function
            step = self._timed(function(*args, **options).__next__, stage)
            with contextlib.suppress(StopIteration):
                while True:
                    yield step()

        setattr(owner, name, timed)

    def _timed(self, function: Callable[..., T], stage: str) -> Callable[..., T]:
        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> T:  # noqa: ANN401 - as the function
            begun = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds[stage] += time.thread_time() - begun

        return timed


class _Steps:
    """An awaitable that runs a coroutine and times each of its steps."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], seconds: dict[str, float], stage: str
    ) -> None:
        self._coroutine = coroutine
        self._seconds = seconds
        self._stage = stage

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        step: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            begun = time.thread_time()
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            finally:
                self._seconds[self._stage] += time.thread_time() - begun
            try:
                step, value = steps.send, (yield waits_for)
            except BaseException as error:  # noqa: BLE001 - the coroutine's to handle
                step, value = steps.throw, error


def main(path: Path) -> int:
    """Run the node; its exit code."""
    watches = Stopwatches()
    for stage, functions in STAGES.items():
        for owner, name in functions:
            watches.watch(owner, name, stage)
    for writer in (CsvWriter, PdfWriter):
        watches.watch_pieces(writer, "finish", "encode")
    watches.watch_coroutine(PartitionProducer, "commit", "transaction")
    try:
        return serve()
    finally:
        path.write_text(json.dumps(watches.seconds), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
