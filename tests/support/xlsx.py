"""XLSX exports made at one go, and read back by two libraries that are not ours."""

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import openpyxl
from lxml import etree
from python_calamine import CalamineWorkbook

from consumer.formats.xlsx import XlsxWriter
from schemas.records import Cell
from schemas.requests import ExportRequested

REQUESTED_AT = datetime(2026, 11, 21, 10, 30, 5, tzinfo=UTC)
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def xlsx_request(
    columns: Sequence[str | dict[str, Any]] = ("a", "b"), title: str | None = None, **options: Any
) -> ExportRequested:
    """A request for an XLSX; ``options`` are those of the contract."""
    return ExportRequested.model_validate(
        {
            "export_id": "ord-2026-11",
            "format": "xlsx",
            "columns": columns,
            "title": title,
            "options": options,
        }
    )


def new_writer(request: ExportRequested) -> XlsxWriter:
    """A writer for a request of ``REQUESTED_AT``."""
    return XlsxWriter(request, dated_at=REQUESTED_AT)


def write_xlsx(request: ExportRequested, rows: Sequence[Sequence[Cell]]) -> bytes:
    """The whole file."""
    writer = new_writer(request)
    return writer.append(rows) + b"".join(writer.finish())


def workbook_of(content: bytes) -> openpyxl.Workbook:
    """The workbook, as openpyxl has it."""
    return openpyxl.load_workbook(io.BytesIO(content))


def by_openpyxl(content: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """Values of each sheet. Numbers of characters, which openpyxl leaves, are characters again."""
    return {
        sheet.title: [tuple(map(_unescaped, row)) for row in sheet.iter_rows(values_only=True)]
        for sheet in workbook_of(content)
    }


def by_calamine(content: bytes) -> dict[str, list[list[Any]]]:
    """Values of each sheet; an empty cell is an empty string there, and empty last rows are not."""
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {
        name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
        for name in workbook.sheet_names
    }


def part(content: bytes, name: str) -> Any:
    """A part of the package, parsed."""
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        return etree.fromstring(package.read(name))


def _unescaped(value: Any) -> Any:
    """As ECMA-376 Part 1, 22.9.2.19, has it."""
    if not isinstance(value, str):
        return value
    return _ESCAPED.sub(lambda number: chr(int(number[1], 16)), value)
