"""XlsxWriter in its constant-memory mode, as its manual advises for large files."""

import os
import shutil
import tempfile
from pathlib import Path

import orjson
import xlsxwriter

from bench.peers.base import Job, NewEncoder, cells_of

_OPTIONS = {
    "constant_memory": True,
    # Strings stay strings, as they do in the others' files.
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


class XlsxWriterEncoder:
    """A ``PeerEncoder``. The library writes a file of its own, which is copied at the end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        descriptor, name = tempfile.mkstemp(suffix=".xlsx")
        os.close(descriptor)
        self._path = Path(name)
        self._book = xlsxwriter.Workbook(name, _OPTIONS)
        self._sheet = self._book.add_worksheet()
        self._sheet.write_row(0, 0, job.columns)
        self._rows = 0

    def message(self, value: bytes) -> None:
        """A call a row, which is one a cell inside."""
        for row in orjson.loads(value)["rows"]:
            self._rows += 1
            self._sheet.write_row(self._rows, 0, cells_of(row, self._job))

    def finish(self) -> None:
        """Pack the file."""
        self._book.close()
        with self._path.open("rb") as made:
            shutil.copyfileobj(made, self._job.out)
        self._path.unlink()


def prepare() -> NewEncoder:
    """Nothing has to be done once for a process."""
    return XlsxWriterEncoder
