"""Who makes which files of which rows in ``bench.encoders``. Values only.

Contenders that need a multiple of the others' time get fewer rows.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.fonts import OPEN_SANS
from bench.node_packages import NODE_DIRECTORY
from bench.rows import DataSet, MessageFile
from schemas.vocabulary import Format


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to make the file. ``peer`` is its name for ``bench.encode`` or ``encode.js``."""

    name: str
    peer: str
    runtime: str = "python"
    share: float = 1.0
    """Which part of a contest's rows it is given."""
    font: str | None = None
    uncut: bool = False
    data_set: DataSet | None = None
    """What it is given instead of the contest's own."""

    def command(self, messages: MessageFile, path: Path) -> list[str]:
        """The command line of one run."""
        data_set = messages.data_set
        if self.runtime == "python":
            module = [sys.executable, "-m", "bench.encode"]
            return [*module, self.peer, str(messages.path), data_set, str(path)]
        extra = json.dumps({**data_set.job, "font": self.font, "uncut": self.uncut})
        script = str(NODE_DIRECTORY / "encode.js")
        return ["node", script, self.peer, str(messages.path), str(path), extra]


@dataclass(frozen=True, slots=True)
class Contest:
    """Contenders for files of one format from one data set; the original sets the measure."""

    file_format: Format
    data_set: DataSet
    rows: int
    rounds: int
    contenders: tuple[Contender, ...]
    original: str


ORIGINALS = {Format.CSV: "npm csv-writer", Format.PDF: "npm pdfkit, Helvetica"}
COPY = Contender("a plain copy of the messages", "copy")
_CSV_PYTHON = Contender("Sluice, Python alone", "ours-csv-python")
_CSV = (
    Contender("Sluice", "ours-csv"),
    _CSV_PYTHON,
    Contender(ORIGINALS[Format.CSV], "csv-writer", "node"),
    Contender("npm csv-writer's stringifier, one stream", "csv-stream", "node"),
    Contender("orjson and csv.writer, guarded", "csv-loop"),
    Contender("polars, guarded", "polars"),
    COPY,
)
_CSV_OBJECTS = (*_CSV[:4], COPY)
_PDF_PAIR = (
    Contender("Sluice", "ours-pdf"),
    Contender(ORIGINALS[Format.PDF], "pdfkit", "node"),
)
_PDF_PYTHON = Contender("Sluice, Python alone", "ours-pdf-python")
_PDF = (
    *_PDF_PAIR,
    _PDF_PYTHON,
    Contender("npm pdfkit, Helvetica, text not cut", "pdfkit", "node", 0.2, uncut=True),
    Contender("npm pdfkit, Open Sans", "pdfkit", "node", 0.2, str(OPEN_SANS)),
    Contender("reportlab, a call per cell, not cut", "reportlab", share=0.2),
    Contender("fpdf2, a call per cell, not cut", "fpdf2", share=0.2),
    COPY,
)
_LATIN = Contender("Sluice, Latin letters", "ours-pdf-cjk", data_set=DataSet.LATIN)
_HAN = Contender("Sluice, Han characters", "ours-pdf-cjk")


def _contest(
    file_format: Format, data_set: DataSet, rows: int, contenders: tuple[Contender, ...]
) -> Contest:
    return Contest(file_format, data_set, rows, 3, contenders, ORIGINALS[file_format])


CONTESTS = (
    _contest(Format.CSV, DataSet.ORDERS, 500_000, _CSV),
    _contest(Format.CSV, DataSet.ORDERS_AS_OBJECTS, 500_000, _CSV_OBJECTS),
    _contest(Format.CSV, DataSet.CITIES, 1_000_000, _CSV),
    _contest(Format.PDF, DataSet.ORDERS, 100_000, _PDF),
    _contest(Format.PDF, DataSet.ORDERS_AS_OBJECTS, 100_000, (*_PDF_PAIR, _PDF_PYTHON, COPY)),
    _contest(Format.PDF, DataSet.CITIES, 20_000, (*_PDF_PAIR, COPY)),
    Contest(Format.PDF, DataSet.HAN, 100_000, 3, (_LATIN, _HAN), _LATIN.name),
)
LARGE = Contest(Format.PDF, DataSet.ORDERS, 1_000_000, 1, _PDF_PAIR[:1], ORIGINALS[Format.PDF])
_NDJSON, _JSON = (Contender("Sluice", f"ours-{kind}") for kind in ("ndjson", "json"))
_XLSX = (
    Contender("Sluice", "ours-xlsx"),
    Contender("XlsxWriter, constant memory", "xlsxwriter", share=0.2),
    Contender("npm exceljs, streaming writer", "exceljs", "node", 0.2),
)
_XML = (Contender("Sluice", "ours-xml"), Contender("lxml.xmlfile", "lxml", share=0.5))


FORMAT_CONTESTS = tuple(
    Contest(file_format, data_set, 100_000, 3, contenders, contenders[-1].name)
    for data_set in (DataSet.ORDERS, DataSet.ORDERS_AS_OBJECTS)
    for file_format, contenders in (
        (Format.CSV, (_CSV_PYTHON,)),
        (Format.NDJSON, (_NDJSON,)),
        (Format.JSON, (_JSON,)),
        (Format.XML, _XML),
        (Format.XLSX, _XLSX),
    )
)
"""Of formats that have no contest above; and of CSV in Python alone, as they are."""
