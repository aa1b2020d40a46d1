"""``sluice serve`` whose writers break on exports with an id like ``breaks-2-…``, so often each.

``python -m tests.support.breaking_writer``. The function is replaced before the node starts, so the
product has no hooks.
"""

import re
import sys
from collections import Counter
from datetime import datetime

from consumer.formats.base import FormatWriter
from consumer.formats.registry import Formats
from schemas.requests import ExportRequested
from sluice.__main__ import main

COMMAND = (sys.executable, "-m", "tests.support.breaking_writer")


def break_writers() -> None:
    """Have ``Formats.writer`` raise what nobody foresees."""
    faithful, broken = Formats.writer, Counter[str]()

    def writer(self: Formats, request: ExportRequested, dated_at: datetime | None) -> FormatWriter:
        match = re.match(r"breaks-(\d+)", request.export_id)
        if match and broken[request.export_id] < int(match[1]):
            broken[request.export_id] += 1
            raise TypeError("of our own")
        return faithful(self, request, dated_at)

    setattr(Formats, "writer", writer)  # noqa: B010 - to mypy a method isn't assigned


if __name__ == "__main__":
    break_writers()
    sys.argv.append("serve")
    main()
