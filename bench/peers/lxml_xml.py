"""lxml's xmlfile, which writes as it goes: an element a cell, as its manual shows it."""

from contextlib import ExitStack

import orjson
from lxml import etree

from bench.peers.base import Job, NewEncoder, cells_of
from schemas.records import Cell


class LxmlEncoder:
    """A ``PeerEncoder``."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open = ExitStack()
        self._file = self._open.enter_context(etree.xmlfile(job.out, encoding="utf-8"))
        self._open.enter_context(self._file.element("rows"))

    def message(self, value: bytes) -> None:
        """A tree a row, written and forgotten."""
        for row in orjson.loads(value)["rows"]:
            element = etree.Element("row")
            for key, cell in zip(self._job.columns, cells_of(row, self._job), strict=True):
                if cell is not None:
                    etree.SubElement(element, key).text = _text(cell)
            self._file.write(element)

    def finish(self) -> None:
        """The root's end."""
        self._open.close()


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else orjson.dumps(cell).decode()


def prepare() -> NewEncoder:
    """Nothing has to be done once for a process."""
    return LxmlEncoder
