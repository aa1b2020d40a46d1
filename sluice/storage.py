"""A group's storage, recognised before a node works with it.

Where the root has an id, that is the storage. Where it has none, it is either new, or made by a
build that knew no ids, or gone: an empty directory where a file system should be mounted. The
group's commits tell: one that has worked had a storage. Invariant: a root gets an id only where no
work of the group can be in another one.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from consumer.cluster import Cluster
from consumer.daemon_threads import DaemonThreads
from consumer.errors import NodeRefused, StorageUnavailable
from consumer.storage.base import GroupStorage
from sluice.errors import UserError

log = structlog.get_logger(__name__)

_OPEN_SECONDS = 30.0
_T = TypeVar("_T")


async def recognise(storage: GroupStorage, cluster: Cluster) -> str:
    """The id of the storage; it is founded where that is safe.

    Raises:
        UserError: the storage refuses, or does not answer.
        NodeRefused: it is empty, and its group has worked before.
    """
    if there := await within(storage.find):
        return there
    older = await within(storage.holds_exports)
    if not older and await cluster.has_worked():
        raise NodeRefused(
            f"SLUICE_STORAGE_URL: {storage.root} holds nothing, but the group "
            f"{cluster.group_id} has worked before: is it mounted? If its files are lost, `sluice "
            "topics create --new-storage` begins a new storage"
        )
    founded = await within(storage.found)
    if older:
        log.warning("storage of an older build: it gets an id", storage_id=founded)
    return founded


async def within(call: Callable[[], _T]) -> _T:
    """What a call into the storage returns, or an error in words. Cancelled, it is left behind.

    Raises:
        UserError: it refuses, or does not answer for 30 s.
    """
    threads = DaemonThreads(1, "storage")
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return await asyncio.wrap_future(threads.submit(call))
    except TimeoutError:
        raise UserError("SLUICE_STORAGE_URL: the storage does not answer") from None
    except StorageUnavailable as error:
        raise UserError(f"SLUICE_STORAGE_URL: {error}") from error
    finally:
        threads.shutdown()
