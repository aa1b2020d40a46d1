"""What comes too late for the sweep of a takeover, removed now and then.

As an upload of an owner that slept, or one whose export was decided later. Invariant: a storage
that refuses or hangs delays nothing else.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

from consumer.daemon_threads import DaemonThreads
from consumer.errors import ConsumerError
from consumer.metrics import Metrics
from consumer.storage.base import GroupStorage

log = structlog.get_logger(__name__)

TIDY_SECONDS = 300.0


async def tidy_now_and_then(
    storage: GroupStorage,
    partitions: Callable[[], Collection[int]],
    metrics: Metrics,
    seconds: float = TIDY_SECONDS,
) -> None:
    """Tidy the partitions of the node, one after the other, until cancelled."""
    threads = DaemonThreads(1, "storage-tidy")
    try:
        while True:
            await asyncio.sleep(seconds)
            for partition in partitions():
                try:
                    tidied = threads.submit(storage.tidy, partition)
                    metrics.swept(await asyncio.wrap_future(tidied))
                except ConsumerError as error:
                    log.debug("storage is not tidied", partition=partition, error=str(error))
                    # The storage refuses: the other partitions come with the next round.
                    break
    finally:
        threads.shutdown()
