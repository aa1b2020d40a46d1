"""Opens a group's storage from the settings, and recognises it before a node uses it.

A root with an id is a known storage. A root without one is new, or was made by a build without ids,
or is missing: an empty directory where a file system should be mounted. The group's commits tell
these apart: a group that has worked had a storage. Invariant: a root gets an id only if no work of
the group can be in another root.
"""

import asyncio
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from consumer.cluster import Cluster
from consumer.daemon_threads import DaemonThreads
from consumer.errors import NodeRefused, ScratchUnavailable, StorageUnavailable
from consumer.storage.base import GroupStorage
from consumer.storage.local import LocalStorage
from sluice.errors import UserError
from sluice.settings import Settings

log = structlog.get_logger(__name__)


def open_storage(settings: Settings) -> GroupStorage:
    """The storage of the settings; only the scratch directory is read or written yet.

    Raises:
        UserError: a temporary directory isn't ours.
    """
    if settings.storage_directory:
        return LocalStorage(settings.storage_directory)
    # The client library takes 40 ms to import, and a directory needs none.
    from consumer.storage.objects.client import open_bucket  # noqa: PLC0415
    from consumer.storage.objects.scratch import Scratch  # noqa: PLC0415
    from consumer.storage.objects.storage import ObjectStorage  # noqa: PLC0415

    bucket = open_bucket(settings.storage_url, settings.bucket_options)
    return ObjectStorage(bucket, Scratch(settings.scratch_dir or _own_temporary()))


def _own_temporary() -> Path:
    """A directory in the system's temporary directory, where another user may have created it."""
    path = Path(tempfile.gettempdir()) / f"sluice-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        # Not ``stat``: anyone may put a link there.
        status = path.lstat()
    except OSError as error:
        raise UserError(f"SLUICE_SCRATCH_DIR: {path} can't be made: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise UserError(f"SLUICE_SCRATCH_DIR: {path} is another user's; choose a directory")
    return path


_OPEN_SECONDS = 30.0
_CREDENTIALS = (
    "; are its credentials right, in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or "
    "SLUICE_STORAGE_OPTIONS?"
)
_T = TypeVar("_T")


async def recognise(storage: GroupStorage, cluster: Cluster) -> str:
    """The id of the storage, which is initialised if that is safe.

    Raises:
        UserError: the storage refuses, or does not answer.
        NodeRefused: it is empty, and its group has worked before.
    """
    if there := await within(storage.find):
        return there
    older = await within(storage.holds_exports)
    # Empty: new or not mounted. Commits show that there was a storage.
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
    """Run a storage call, with its errors in words. If cancelled, the call is abandoned.

    Raises:
        UserError: it refuses, or doesn't answer within 30 s.
    """
    threads = DaemonThreads(1, "storage")
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return await asyncio.wrap_future(threads.submit(call))
    except TimeoutError:
        raise UserError("SLUICE_STORAGE_URL: the storage does not answer") from None
    except StorageUnavailable as error:
        raise refusal_in_words(error) from error
    finally:
        threads.shutdown()


def refusal_in_words(error: StorageUnavailable) -> UserError:
    """Why a storage refuses a command, with the setting that it is about."""
    of_scratch = isinstance(error, ScratchUnavailable)
    setting = "SLUICE_SCRATCH_DIR" if of_scratch else "SLUICE_STORAGE_URL"
    refused = re.search(r"\b40[13] ", str(error)) is not None
    return UserError(f"{setting}: {error}{_CREDENTIALS if refused else ''}")
