"""Which file ``sluice submit`` reads, and how: by its extension, or as the options say.

Opens nothing. Invariant: an option that the input format doesn't have is an error, never ignored.
"""

import io
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from producer.sources.csv_source import read_csv
from producer.sources.json_source import read_json, read_ndjson
from producer.sources.reading import Reader
from producer.sources.xlsx_source import read_xlsx
from sluice.errors import UsageError


class InputFormat(StrEnum):
    """What the file holds: CSV, a workbook, one JSON row a line, or one JSON array of rows."""

    CSV = "csv"
    XLSX = "xlsx"
    NDJSON = "ndjson"
    JSON = "json"


_READERS = {InputFormat.NDJSON: read_ndjson, InputFormat.JSON: read_json}
_SUFFIXES = {
    ".csv": InputFormat.CSV,
    ".xlsx": InputFormat.XLSX,
    ".xlsm": InputFormat.XLSX,
    ".ndjson": InputFormat.NDJSON,
    ".jsonl": InputFormat.NDJSON,
    ".json": InputFormat.JSON,
}
TAB_NAMES = {"\\t": "\t", "tab": "\t"}
"""How a tab is given on a command line."""


def input_format_of(file: str) -> InputFormat:
    """What a file holds by its extension.

    Raises:
        UsageError: that says nothing.
    """
    if file == "-":
        raise UsageError("--input-format is needed with standard input")
    suffix = Path(file).suffix
    if suffix.lower() == ".xls":
        raise UsageError(f"{file}: an old .xls can't be read: save it as .xlsx")
    if suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{file}: give --input-format, as the extension {suffix!r} says nothing")
    return _SUFFIXES[suffix.lower()]


def reader_of(
    input_format: InputFormat,
    types: Mapping[str, str],
    *,
    delimiter: str | None,
    encoding: str | None,
    sheet: str | None,
) -> Reader:
    """The source. Cells of columns in ``types`` become values of these where they are texts.

    Raises:
        UsageError: an option is of another input format, or wrong.
    """
    of_csv = {"--input-delimiter": delimiter, "--encoding": encoding}
    others = {} if input_format is InputFormat.CSV else of_csv
    if input_format is not InputFormat.XLSX:
        others = {**others, "--sheet": sheet}
    for name, value in others.items():
        if value is not None:
            whose = "XLSX" if name == "--sheet" else "CSV"
            raise UsageError(f"{name}: is for {whose} files, and this is {input_format.upper()}")
    match input_format:
        case InputFormat.CSV:
            return partial(read_csv, types=types, **_csv_facts(delimiter, encoding))
        case InputFormat.XLSX:
            return partial(read_xlsx, types=types, sheet=sheet)
    return _READERS[input_format]


def _csv_facts(delimiter: str | None, encoding: str | None) -> dict[str, Any]:
    """What was given of a CSV file, as ``read_csv`` takes it."""
    facts: dict[str, Any] = {}
    if delimiter is not None:
        facts["delimiter"] = delimiter = TAB_NAMES.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError("--input-delimiter: must be one character, no quote and no line break")
    if encoding is not None:
        facts["encoding"] = encoding
        try:
            # As the reader opens it; ``codecs.lookup`` knows codecs that make no text as well.
            io.TextIOWrapper(io.BytesIO(), encoding)
        except (LookupError, ValueError):
            raise UsageError(f"--encoding {encoding}: is not known") from None
    return facts
