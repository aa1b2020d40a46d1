"""One partition's messages on which our own code broke, for the lifetime of its lane.

    once     the lane loads again: what broke may have passed
    twice    a trial export is made, of nothing that was sent
                 it breaks too   the fault is ours alone: the lane stops, and nothing is judged
                 it completes    the message is set aside on the third attempt

Unlike deaths, these are counted in memory: the node survives, and the next owner finds out for
itself. Invariant: no message is set aside while this build breaks on others.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor

import structlog

from consumer.core.resume import ResumePoint
from consumer.core.suspects import MessagePlace
from consumer.errors import LaneStopped, MessageFault
from consumer.exports.export_context import ExportContext
from consumer.exports.trial import try_an_export

log = structlog.get_logger(__name__)

_MOST_FAULTS = 2


class Faults:
    """See the module."""

    def __init__(self, partition: int, context: ExportContext, threads: Executor) -> None:
        self._partition = partition
        self._context = context
        self._threads = threads
        self._counts: Counter[MessagePlace] = Counter()
        self._breaks_on: dict[MessagePlace, str] = {}

    async def count(self, fault: MessageFault) -> None:
        """Note that our code broke on a message; reload the partition afterwards.

        Raises:
            LaneStopped: our code breaks on the trial export too.
        """
        place = MessagePlace(fault.is_batch, fault.offset)
        self._counts[place] += 1
        if self._counts[place] < _MOST_FAULTS:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, try_an_export, self._context)
        except Exception as error:
            log.exception("trial export failed unexpectedly", partition=self._partition)
            del self._counts[place]  # the message isn't the cause
            topic = "records" if fault.is_batch else "requests"
            raise LaneStopped(
                f"this build fails at offset {fault.offset} of the {topic} ({fault}), "
                f"and at a trial export too: {type(error).__name__}: {error!s:.200}"
            ) from error
        self._breaks_on[place] = str(fault)

    def above(self, point: ResumePoint) -> Mapping[MessagePlace, str]:
        """The messages to set aside that an owner resuming there will read, with the reason."""
        # Nothing below the point is read again, so drop those counts.
        for place in [place for place in self._counts if not point.will_read(place)]:
            del self._counts[place]
            self._breaks_on.pop(place, None)
        return self._breaks_on
