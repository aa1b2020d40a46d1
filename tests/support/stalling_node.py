"""``sluice serve`` whose CSV writer may keep the interpreter to itself.

``python -m tests.support.stalling_node serve``.

A cell ``hold 0.6`` does so for that many seconds, as a long call in C does. The class is wrapped
before the node starts, so the product has no hooks.
"""

import ctypes
import os
import re
import time
from collections.abc import Sequence

from consumer.formats.csv import CsvWriter
from schemas.records import Cell
from sluice.__main__ import main
from sluice.loop_watch import BEAT_SECONDS

_HOLD = re.compile(r"hold ([0-9.]+)")


def hold_interpreter(seconds: float) -> None:
    """Sleep with the interpreter's lock held: ``PyDLL`` doesn't let go of it."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


class StallingWriter(CsvWriter):
    """Does what its cells say."""

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """See ``FormatWriter.append``."""
        for row in rows:
            for cell in row:
                if isinstance(cell, str) and (found := _HOLD.fullmatch(cell)):
                    hold_interpreter(float(found[1]))
                    # Handling goes on after such a call: the watch is to see what is in hand.
                    time.sleep(4 * BEAT_SECONDS)
        return super().append(rows)


if __name__ == "__main__":
    from consumer.formats import registry

    os.environ["SLUICE_ENCODERS"] = "python"  # one in Rust obeys no cell
    vars(registry)["CsvWriter"] = StallingWriter
    main()
