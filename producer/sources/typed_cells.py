"""Converts texts to the JSON values they spell, in columns that have a type.

Invariant: the values pass ``schemas.column_types`` for their type.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from producer.sources.header import Header
from producer.sources.table import SourceError
from schemas import exact_json
from schemas.column_types import wrong_cell
from schemas.records import Cell
from schemas.vocabulary import ColumnType

_JSON_TYPES = {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN}


class TypedColumns:
    """The columns of a header that have a type.

    Raises:
        SourceError: the header lacks one of them.
    """

    def __init__(self, header: Header, types: Mapping[str, str]) -> None:
        self._header = header
        self._types = {header.place(key): ColumnType(kind) for key, kind in types.items()}

    def __bool__(self) -> bool:
        return bool(self._types)

    def row(self, place: str, cells: Sequence[Cell]) -> list[Cell]:
        """The row with the values of typed columns; ``place`` names it, such as ``line 7``.

        Raises:
            SourceError: a cell is not of its column's type.
        """
        row = [*cells]
        for index, kind in self._types.items():
            try:
                row[index] = _value(cells[index], kind)
            except ValueError as error:
                key = self._header.keys[index]
                raise SourceError(f"{place}, column {key!r}: {error}") from None
        return row


def _value(cell: Cell, kind: ColumnType) -> Cell:
    """The value that a text spells as a cell of a type; empty is null, except in strings.

    A number in a column of strings, such as a postal code, is its digits.

    Raises:
        ValueError: it spells none.
    """
    if kind is ColumnType.STRING and isinstance(cell, str | int | float):
        return str(cell)
    if cell == "":
        return None
    if kind in _JSON_TYPES and isinstance(cell, str):
        with suppress(ValueError):  # then the text itself is of no such type
            cell = exact_json.loads(cell.encode())
    if found := wrong_cell([cell], kind):
        raise ValueError(found[1])
    return cell
