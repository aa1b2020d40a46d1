"""Are XLSX, XML, NDJSON and JSON right? Read back by others, every cell compared with what went in.

Invariant: a contender's own code has no part in judging it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lxml import etree
from python_calamine import CalamineWorkbook

from bench.checks import Findings
from schemas.records import Cell
from schemas.vocabulary import Format


def check_rows(
    file_format: Format, path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> Findings:
    """Compare each cell with the one that is read."""
    findings = Findings()
    read, expected = _READERS[file_format]
    given = found = 0
    for row, made in zip_longest(rows, read(path, columns)):
        given, found = given + (row is not None), found + (made is not None)
        for cell, value in zip(row or (), made or (), strict=False):
            findings.cells += 1
            wanted = expected(cell)
            if wanted != value:
                findings.note("another cell", f"{wanted!r} became {value!r}")
    if given != found:
        findings.whole.append(f"{found:,} rows of {given:,}")
    return findings


def _xlsx(path: Path, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    sheet = CalamineWorkbook.from_path(path).get_sheet_by_index(0)
    header, *rows = sheet.to_python()
    assert header == [*columns], header
    yield from rows


def _xml(path: Path, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    for _, row in etree.iterparse(path, tag="row", huge_tree=True):
        cells = {cell.tag: cell.text or "" for cell in row}
        yield [cells.get(key) for key in columns]
        row.clear()


def _ndjson(path: Path, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    with path.open("rb") as file:
        for line in file:
            yield _cells(json.loads(line), columns)


def _json(path: Path, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    return (_cells(row, columns) for row in json.loads(path.read_bytes()))


def _cells(row: dict[str, Any], columns: Sequence[str]) -> Sequence[Any]:
    assert [*row] == [*columns], row
    return [*row.values()]


def _same(cell: Cell) -> Cell:
    return cell


def _in_a_sheet(cell: Cell) -> Cell:
    """Calamine reads a cell that isn't there as an empty text."""
    return "" if cell is None else cell


def _in_xml(cell: Cell) -> Cell:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell)


_READERS: dict[
    Format,
    tuple[Callable[[Path, Sequence[str]], Iterator[Sequence[Any]]], Callable[[Cell], Cell]],
] = {
    Format.XLSX: (_xlsx, _in_a_sheet),
    Format.XML: (_xml, _in_xml),
    Format.NDJSON: (_ndjson, _same),
    Format.JSON: (_json, _same),
}
