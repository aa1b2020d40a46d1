"""CSV by the letter of the contract, a cell at a time: what the fast writer is measured against."""

import json
from collections.abc import Iterable, Sequence

from schemas.options import CsvOptions
from schemas.records import Cell
from schemas.requests import ExportRequested


def plain_csv(request: ExportRequested, rows: Iterable[Sequence[Cell]]) -> bytes:
    """The whole file."""
    options = request.options
    assert isinstance(options, CsvOptions)
    lines = [list(map(plain_text, row, [options] * len(row))) for row in rows]
    if options.header:
        lines.insert(0, [plain_text(column.header, options) for column in request.columns])
    ending = {"crlf": "\r\n", "lf": "\n"}[options.line_ending]
    written = [
        options.delimiter.join(quoted(text, options.delimiter) for text in line) + ending
        for line in lines
    ]
    return "".join(["\ufeff" if options.bom else "", *written]).encode()


def plain_text(cell: Cell, options: CsvOptions) -> str:
    """What a reader of the CSV gets for a cell."""
    if cell is None:
        return options.null
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        starts_formula = cell != "" and cell[0] in "=+-@\t\r"
        return (
            "'" + cell
            if options.escape_formulas and starts_formula and not is_number(cell)
            else cell
        )
    if isinstance(cell, int | float):
        return str(cell)
    return json.dumps(cell, ensure_ascii=False, separators=(",", ":"))


def is_number(text: str) -> bool:
    """Whether the whole of a text is a decimal number: what ``float`` reads, of these letters."""
    try:
        float(text)
    except ValueError:
        return False
    return set(text) <= set("0123456789+-.eE")


def quoted(text: str, delimiter: str) -> str:
    """A field that says ``text``."""
    if any(special in text for special in (delimiter, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text
