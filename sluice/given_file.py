"""The file that a command is given: a path, the URL of an object, or ``-`` for standard input.

Invariant: only the piece being read is held in memory.
"""

import io
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass

from consumer.storage.objects.urls import is_object_url, split_object_url, without_login
from sluice.errors import UsageError
from sluice.locations import local_path
from sluice.reports import printable
from sluice.settings import Settings


@dataclass(frozen=True, slots=True)
class GivenFile:
    """``name`` is what messages call it. ``open`` blocks, and raises OSError or SourceError.

    ``size``: bytes of the file once it is open; None if unknown.
    """

    name: str
    open: Callable[[], io.RawIOBase]
    size: Callable[[], int | None]


def check_location(file: str) -> None:
    """Do nothing if a command's argument can name a file; nothing is opened.

    Raises:
        UsageError: it is a URL of neither a file nor an object.
    """
    if file == "-":
        return
    try:
        if is_object_url(file):
            split_object_url(file)
        else:
            local_path(file)
    except ValueError as error:
        raise UsageError(f"{printable(without_login(file))}: {error}") from None


def given_file(file: str, settings: Settings) -> GivenFile:
    """The file of a command's argument; nothing is opened yet.

    Raises:
        UsageError: as ``check_location``, or an option of the store can't be used.
    """
    check_location(file)
    if file == "-":
        return GivenFile("standard input", _open_stdin, lambda: _regular(os.fstat(_stdin())))
    try:
        if is_object_url(file):
            # The client of buckets takes a while to import.
            from sluice.given_object import GivenObject  # noqa: PLC0415

            found = GivenObject(file, settings.bucket_options)
            return GivenFile(file, found.open, lambda: found.size)
    except ValueError as error:
        raise UsageError(f"{printable(without_login(file))}: {error}") from None
    path = local_path(file)
    return GivenFile(file, lambda: io.FileIO(path), lambda: _regular(path.stat()))


def _stdin() -> int:
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.fileno()


def _open_stdin() -> io.FileIO:
    return io.FileIO(_stdin(), closefd=False)


def _regular(status: os.stat_result) -> int | None:
    return status.st_size if stat.S_ISREG(status.st_mode) else None
