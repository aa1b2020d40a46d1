"""What the partition's former owners died on, counted as it is taken over.

    1. read the marks that they left
    2. commit what they died on, even if that is nothing: it shows that nobody has fenced us and
       marks his own work by now; and no death of ours undoes the count
    3. remove the marks that were read; found again, they would count no more

Invariant: it is done before any message is handled, by an owner whose producer has fenced others.
"""

import asyncio
from concurrent.futures import Executor
from functools import partial

import structlog

from consumer.core.resume import ResumePoint
from consumer.core.suspects import Suspect
from consumer.exports.export_context import ExportContext
from consumer.exports.in_hand import InHand
from consumer.exports.marked_storage import MarkedStorage
from consumer.exports.messages import Outcome
from consumer.lanes.transactions import PartitionProducer

log = structlog.get_logger(__name__)


async def count_deaths(
    point: ResumePoint,
    producer: PartitionProducer,
    context: ExportContext,
    threads: Executor,
    in_hand: InHand,
) -> ResumePoint:
    """The point, with what former owners died on.

    Raises:
        StorageUnavailable: the marks can't be read or removed.
        KafkaError, TimeoutError: as ``PartitionProducer.commit``.
    """
    loop, partition = asyncio.get_running_loop(), in_hand.partition
    storage = MarkedStorage(context.storage, in_hand)
    marks = await loop.run_in_executor(threads, storage.left_marks, partition)
    if not marks:
        return point
    suspected = point.suspecting(marks)
    await producer.commit(Outcome(), suspected)
    new = [suspect for suspect in suspected.suspects if suspect not in point.suspects]
    context.metrics.suspected(len(new))
    for suspect in new:
        _log(partition, suspect)
    await loop.run_in_executor(threads, partial(storage.remove_marks, partition, marks))
    return suspected


def _log(partition: int, suspect: Suspect) -> None:
    log.warning(
        "an owner of the partition died with a message in hand",
        topic="records" if suspect.place.is_batch else "requests",
        partition=partition,
        offset=suspect.place.offset,
        next="it is set aside" if suspect.died_on_twice else "it is handled alone",
    )
