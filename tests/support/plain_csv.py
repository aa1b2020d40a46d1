"""CSV by the letter of the contract, a cell at a time: what the fast writer is measured against."""

import json
import re
from collections.abc import Iterable, Sequence

from schemas.options import CsvOptions
from schemas.records import Cell
from schemas.requests import ExportRequested

TRIGGERS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 - the fullwidth ones are meant


def plain_csv(request: ExportRequested, rows: Iterable[Sequence[Cell]]) -> bytes:
    """The whole file."""
    options = request.options
    assert isinstance(options, CsvOptions)
    lines: list[Sequence[Cell]] = [*rows]
    if options.header:
        lines.insert(0, [column.header for column in request.columns])
    ending = {"crlf": "\r\n", "lf": "\n"}[options.line_ending]
    written = []
    for number, line in enumerate(lines):
        fields = [
            _field(cell, options, lone=len(line) == 1, first=(number, place) == (0, 0))
            for place, cell in enumerate(line)
        ]
        written.append(options.delimiter.join(fields) + ending)
    return "".join(["\ufeff" if options.bom else "", *written]).encode()


def plain_text(cell: Cell, options: CsvOptions) -> str:
    """What a reader of the CSV gets for a cell."""
    if cell is None:
        return options.null
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        return "'" + cell if options.escape_formulas and is_run(cell) else cell
    if isinstance(cell, int | float):
        return str(cell).replace(".", options.decimal_separator)
    return json.dumps(cell, ensure_ascii=False, separators=(",", ":"))


def _field(cell: Cell, options: CsvOptions, *, lone: bool, first: bool) -> str:
    text = plain_text(cell, options)
    specials = options.delimiter if type(cell) in {int, float} else options.delimiter + '"\r\n,;\t'
    if (
        options.quote == "all"
        or any(special in text for special in specials)
        or (first and text.startswith(("ID", "\ufeff")))
        or (lone and not dropped(text))
    ):
        return '"' + text.replace('"', '""') + '"'
    return text


def dropped(text: str) -> str:
    """Without what some reader drops or trims at the beginning."""
    while text and text[0] not in "\t\r\n" and (text[0] in "\0\ufeff" or text[0].isspace()):
        text = text[1:]
    return text


def is_run(text: str) -> bool:
    """Whether some spreadsheet would take a text for a formula."""
    text = dropped(text)
    return text != "" and text[0] in TRIGGERS and not computes_nothing(text)


def computes_nothing(text: str) -> bool:
    """Whether a text is a sign with digits, grouped or not, maybe of a percentage; or a lone -."""
    if text == "-" or is_number(text):
        return True
    if text.endswith("%"):
        text = text[:-1]
        text = text[:-1] if text[-1:] in {" ", "\xa0", "\u2009", "\u202f"} else text
        if text[:1] in "+-" and is_number(text):
            return True
    return bool(re.fullmatch(r"[+-][0-9]+([.,'’ \xa0\u2009\u202f][0-9]+)*", text))  # noqa: RUF001


def is_number(text: str) -> bool:
    """Whether the whole of a text is a decimal number: what ``float`` reads, of these letters."""
    try:
        float(text)
    except ValueError:
        return False
    return set(text) <= set("0123456789+-.eE")
