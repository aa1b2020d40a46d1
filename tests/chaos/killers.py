"""A node whose format writers obey: ``python -m tests.chaos.killers``.

It is the real ``sluice serve``. A cell, or a title, that names a weapon is used on the node itself
as soon as its message is decoded or encoded. Invariant: what it did last stands in its log.
"""

import json
import os
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import consumer.exports.request_routing
from consumer.formats.base import FormatWriter
from consumer.formats.registry import Formats
from schemas.requests import ExportRequested

KILLING = "the node is about to die"
"""The event of the line that the node logs before it uses a weapon."""

_PIECE_BYTES = 16 * 1024 * 1024
_MOST_PIECES = 60


class Weapon(StrEnum):
    """What a message does to its node."""

    KILL = "weapon: SIGKILL"
    STOP = "weapon: SIGSTOP"
    BALLOON = "weapon: balloon"
    FREEZE = "weapon: the interpreter is held"


def _balloon() -> None:
    hoard = []
    for _ in range(_MOST_PIECES):
        hoard.append(b"\1" * _PIECE_BYTES)  # touched, so that it is resident
        time.sleep(0.03)
    os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does where memory is short


def _stop() -> None:
    """The signal may be another thread's to take, so this one may not go on meanwhile."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


def _freeze() -> None:
    marks = 150_000  # in no order that is normal: sorted in quadratic time, and without a pause
    unicodedata.normalize("NFC", "\u0301" * marks + "\u0323" * marks)


_USES: dict[Weapon, Callable[[], None]] = {
    Weapon.KILL: lambda: os.kill(os.getpid(), signal.SIGKILL),
    Weapon.STOP: _stop,
    Weapon.BALLOON: _balloon,
    Weapon.FREEZE: _freeze,
}


def obey(text: object, export_id: str) -> None:
    """Use the weapon that a text names, if it names one."""
    if isinstance(text, str) and text in set(Weapon):
        line = {"event": KILLING, "export_id": export_id, "weapon": text}
        os.write(2, json.dumps(line).encode() + b"\n")
        _USES[Weapon(text)]()


class ObeyingWriter:
    """A ``FormatWriter``: passes on to one."""

    def __init__(self, writer: FormatWriter, export_id: str) -> None:
        self._writer = writer
        self._export_id = export_id

    def append(self, rows: Sequence[Sequence[Any]]) -> Any:
        for row in rows:
            obey(row[1], self._export_id)
        return self._writer.append(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def arm() -> None:
    """Have all writers of this process, and all that read requests, obey."""
    routing: Any = consumer.exports.request_routing
    make, decode = Formats.writer, routing.decode_request

    def writer(self: Formats, request: ExportRequested, dated_at: datetime | None) -> Any:
        return ObeyingWriter(make(self, request, dated_at), request.export_id)

    def decode_request(*message: Any) -> Any:
        request = decode(*message)
        if isinstance(request, ExportRequested):
            obey(request.title, request.export_id)
        return request

    Formats.writer = writer  # type: ignore[method-assign]
    routing.decode_request = decode_request


def main() -> None:
    """Run the node that the environment sets up."""
    from sluice.cli import main as command  # noqa: PLC0415 - after it is armed

    os.environ["SLUICE_ENCODERS"] = "python"  # those in Rust obey no cell
    sys.argv[1:] = ["serve"]
    command()


if __name__ == "__main__":
    arm()
    main()
