"""The result of every source: column keys, known at once, and rows, read lazily.

Knows neither file formats nor Kafka. Invariant: a row has one cell per column, in column order;
only columns that were not chosen are dropped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from producer.errors import ProducerError
from schemas.records import Cell

# A chosen column is unknown if this many objects lack it, as null keys may be left out.
_OBJECTS_LOOKED_AT = 100


class SourceError(ProducerError):
    """The source can't be read as rows; the message names the line."""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """Rows in the order of ``columns``. ``rows`` raises SourceError where the source is wrong.

    ``headers`` are the columns' names in the file, in order. ``note`` is for the file's owner, to
    be shown before it is read.
    """

    columns: tuple[str, ...]
    rows: Iterator[list[Cell]]
    headers: tuple[str, ...]
    note: str | None = None


class Item(NamedTuple):
    """A JSON value that should be a row, and where it stands, such as ``line 7``."""

    place: str
    value: object


def table_of_items(items: Iterator[Item], columns: Sequence[str] | None) -> SourceTable:
    """A table of JSON rows: arrays in column order, or objects.

    ``columns`` chooses keys of objects and is needed for arrays. Without it they are the keys of
    the first object, and a later object may not have others. A key that is left out is null.

    Raises:
        SourceError: there is no row to take columns from, or no object has a chosen column.
    """
    if columns is not None:
        items = _look_for(columns, items)
        keys = tuple(columns)
        return SourceTable(keys, _rows(items, keys, frozenset()), keys)
    first = next(items, None)
    if first is None:
        raise SourceError("there is no row to take the columns from: choose columns")
    if not isinstance(first.value, dict):
        raise SourceError(f"{first.place}: no object to take the columns from: choose columns")
    keys = tuple(first.value)
    return SourceTable(keys, _rows(chain([first], items), keys, frozenset(keys)), keys)


def _rows(
    items: Iterator[Item], columns: tuple[str, ...], known: frozenset[str]
) -> Iterator[list[Cell]]:
    """Rows as arrays. ``known`` are the keys an object may have, or empty for any."""
    for item in items:
        value = item.value
        if isinstance(value, dict):
            if known and not known.issuperset(value):
                new = next(key for key in value if key not in known)
                raise SourceError(f"{item.place}: key {new!r} is not one of the first object's")
            yield list(map(value.get, columns))
        else:
            yield _array(item, len(columns))


def _array(item: Item, width: int) -> list[Cell]:
    if not isinstance(item.value, list):
        raise SourceError(f"{item.place}: neither an object nor an array")
    if len(item.value) != width:
        raise SourceError(f"{item.place}: {len(item.value)} cells for {width} columns")
    return item.value


def _look_for(columns: Sequence[str], items: Iterator[Item]) -> Iterator[Item]:
    """The same items again, once each column was seen as a key.

    Raises:
        SourceError: the objects looked at don't have a column.
    """
    missing = dict.fromkeys(columns)
    seen: list[Item] = []
    while missing and len(seen) < _OBJECTS_LOOKED_AT:
        item = next(items, None)
        if item is None:
            break
        seen.append(item)
        if not isinstance(item.value, dict):
            return chain(seen, items)  # arrays have no keys: any name will do
        for key in item.value:
            missing.pop(key, None)
    if missing and seen:
        raise SourceError(
            f"column {next(iter(missing))!r} is no key of the first {len(seen)} objects"
        )
    return chain(seen, items)
