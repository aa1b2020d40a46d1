"""The records topic: batches of rows. Read by orjson with a check that costs little per row.

There is no model per row: a batch is checked as a whole, and its rows' shapes when they are
applied. Errors are worded like pydantic's for the other topics. A large batch is read in pieces.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from schemas import exact_json, json_pieces
from schemas.errors import FieldError, Invalid, TooLarge, Unreadable, shown
from schemas.limits import LARGE_BYTES, MOST_BATCH_CELLS
from schemas.unread_value import UnreadValue
from schemas.vocabulary import DeadLetterReason, is_export_id

Cell: TypeAlias = Any
"""Any JSON value, as ``json.loads`` gives it; an integer may be of any size."""
Row: TypeAlias = list[Cell] | dict[str, Cell]

_FIELDS = frozenset({"export_id", "seq", "rows", "last", "total_rows"})


@dataclass(frozen=True, slots=True)
class LargeRows:
    """The rows of a large batch, still as text that is known to be JSON.

    ``counts`` are the rows of each piece; they show where to resume a walk.

    ``values`` is not less than the JSON values in the rows, nested ones included. Of those with a
    ``crowded`` row, which alone has more than are ever built, only the ones before it are counted.
    """

    divided: json_pieces.Divided
    count: int
    counts: "array[int]"
    values: int
    crowded: bool = False

    def pieces(self, after: int) -> Iterator[list[Row]]:
        """The rows but the first ``after``, a piece of the text at a time."""
        first = 0
        # Pieces before the first wanted row aren't parsed once more.
        while first < len(self.counts) and after >= self.counts[first]:
            after -= self.counts[first]
            first += 1
        for piece in self.divided.pieces(first=first):
            del piece[:after]
            after = 0
            yield piece


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows checked and encoded natively: ``data`` are the file's bytes.

    If the bytes depend on earlier rows, as PDF pages do, ``rows`` holds the rows instead.
    ``replaced_characters`` counts characters that the format can't hold.
    """

    count: int
    data: bytes
    rows: Any = None
    replaced_characters: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one export. ``seq`` counts from 0; ``total_rows`` is None unless given.

    A large batch has its rows in ``large``, an encoded one in ``encoded``; ``rows`` is empty then.
    """

    export_id: str
    seq: int
    rows: list[Row]
    last: bool = False
    total_rows: int | None = None
    large: LargeRows | None = None
    encoded: EncodedRows | None = None

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        if self.encoded:
            return self.encoded.count
        return self.large.count if self.large else len(self.rows)

    def pieces(self, most_rows: int, after: int = 0) -> Iterator[list[Row]]:
        """The rows in order, some at a time; ``after`` counts those to leave out.

        Rows of a large batch aren't kept after they were returned.
        """
        if self.large:
            for piece in self.large.pieces(after):
                while piece:
                    yield _taken(piece, most_rows)
        elif len(self.rows) <= most_rows and not after:
            yield self.rows
        else:
            for start in range(after, len(self.rows), most_rows):
                yield self.rows[start : start + most_rows]


def _taken(rows: list[Row], count: int) -> list[Row]:
    taken = rows[:count]
    del rows[:count]
    return taken


def decode_batch(value: bytes | None) -> Batch:
    """Read a record of the records topic.

    Raises:
        Unreadable: it names no export: a dead letter.
        Invalid: the export is named, another field is wrong.
    """
    large = None
    if value is not None and len(value) > LARGE_BYTES:
        fields, large = _decode_large(value)
    else:
        fields = decode_object(value)
    # First of all: without an id it is a dead letter, whatever else is wrong.
    export_id = export_id_of(fields)
    errors = list(_findings(fields))
    if errors:
        raise Invalid(export_id, errors)
    return Batch(
        export_id,
        fields["seq"],
        fields["rows"],
        fields.get("last", False),
        fields.get("total_rows"),
        large,
    )


def _decode_large(value: bytes) -> tuple[dict[str, Any], LargeRows | None]:
    """The fields with empty ``rows``, and the rows separately."""
    divided = _divided(value)
    if not divided.has_array:
        return divided.others, None
    return {**divided.others, "rows": []}, _large_rows(divided)


def _large_rows(divided: json_pieces.Divided) -> LargeRows:
    """Walk along the rows to verify that all are JSON; otherwise nothing of a batch is applied.

    The walk ends at a row that alone has too many values, as that is never built.
    """
    counts = array("L")
    try:
        for piece in divided.pieces():
            counts.append(len(piece))
    except json_pieces.TooManyValues:
        return LargeRows(divided, sum(counts), counts, 0, crowded=True)
    except ValueError as error:
        raise Unreadable(DeadLetterReason.UNREADABLE, f"not JSON: {error}") from None
    count = sum(counts)
    values = divided.most_values - count
    if values > MOST_BATCH_CELLS:  # text in strings that looks like values was counted too
        values = divided.count_values() - count
    return LargeRows(divided, count, counts, values)


def _divided(value: bytes) -> json_pieces.Divided:
    try:
        return json_pieces.divide(value, "rows")
    except json_pieces.TooManyValues as error:
        export_id = error.others.get("export_id")
        if isinstance(export_id, str) and is_export_id(export_id):
            raise Invalid(export_id, [FieldError("", str(error))]) from None
        raise Unreadable(DeadLetterReason.UNREADABLE, str(error)) from None
    except ValueError as error:
        raise Unreadable(DeadLetterReason.UNREADABLE, f"not JSON: {error}") from None


def decode_object(value: bytes | None) -> dict[str, Any]:
    """A JSON object with its integers exact, however long. Parsed at once: look at the size first.

    Raises:
        Unreadable: null, not JSON in UTF-8, or not an object; TooLarge: it was not held.
    """
    if value is None:
        raise Unreadable(DeadLetterReason.NULL_VALUE, "the value is null")
    if isinstance(value, UnreadValue):
        if value.too_large:
            raise TooLarge(DeadLetterReason.UNREADABLE, value.why, _id_at_beginning(value))
        raise Unreadable(DeadLetterReason.UNREADABLE, value.why)
    try:
        fields = exact_json.loads(value)
    except ValueError as error:
        raise Unreadable(DeadLetterReason.UNREADABLE, f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Unreadable(DeadLetterReason.UNREADABLE, "not a JSON object")
    return fields


def _id_at_beginning(value: UnreadValue) -> str | None:
    members, _ = json_pieces.first_members(value, is_whole=False)
    export_id = members.get("export_id")
    return export_id if isinstance(export_id, str) and is_export_id(export_id) else None


def export_id_of(fields: dict[str, Any]) -> str:
    """The object's ``export_id``.

    Raises:
        Unreadable: it is missing or malformed.
    """
    export_id = fields.get("export_id")
    if not isinstance(export_id, str) or not is_export_id(export_id):
        raise Unreadable(DeadLetterReason.INVALID_ID, f"export_id: {shown(export_id)} is no id")
    return export_id


def encode_batch(batch: Batch) -> bytes:
    """The batch as compact UTF-8 JSON.

    Raises:
        TypeError: a cell is no JSON value, or nested deeper than 254 levels.
        ValueError: beside an integer beyond 64 bits there is a NaN, which JSON has no word for.
    """
    fields: dict[str, Any] = {
        "export_id": batch.export_id,
        "seq": batch.seq,
        "rows": batch.rows,
        "last": batch.last,
    }
    if batch.total_rows is not None:
        fields["total_rows"] = batch.total_rows
    return exact_json.dumps(fields)


def _findings(fields: dict[str, Any]) -> Iterator[FieldError]:
    """What is wrong with a batch's fields, other than its id."""
    if "seq" not in fields:
        yield FieldError("seq", "is missing")
    elif not _is_count(fields["seq"]):
        yield FieldError("seq", "must be an integer from 0")
    if "rows" not in fields:
        yield FieldError("rows", "is missing")
    elif type(fields["rows"]) is not list:
        yield FieldError("rows", "must be an array")
    last = fields.get("last", False)
    if type(last) is not bool:
        yield FieldError("last", "must be true or false")
    if "total_rows" in fields:
        if not _is_count(fields["total_rows"]):
            yield FieldError("total_rows", "must be an integer from 0")
        elif last is False:
            yield FieldError("total_rows", "may be given with the last batch only")
    unknown = [name for name in fields if name not in _FIELDS]  # in order: no set difference
    yield from (FieldError(name, "is not a field of the contract") for name in unknown)


def _is_count(candidate: object) -> bool:
    return type(candidate) is int and candidate >= 0
