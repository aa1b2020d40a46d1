"""Rows to messages of the records topic, numbered. Pure: no I/O, no clock.

Invariant: ``seq`` counts from 0 by 1, rows keep their order, and no message holds more than
``BATCH_ROWS`` rows or ``BATCH_BYTES`` bytes of rows, except a single row that is larger. So none
has more cells than a batch may have; ``most_rows`` bounds how much of its file one batch makes.
"""

import json
from collections.abc import Iterable, Iterator

import orjson

from producer.errors import ProducerError
from schemas.limits import MOST_BATCH_OUTPUT_BYTES
from schemas.options import CsvOptions, JsonOptions, PdfOptions, XlsxOptions, XmlOptions
from schemas.records import Row
from schemas.requests import ExportRequested
from schemas.xml_names import element_name

# In 256 columns that is a quarter of the cells that a batch may have.
BATCH_ROWS = 1_000
BATCH_BYTES = 512 * 1024
# Kafka takes messages up to 1 MiB by default (message.max.bytes): room is left for the rest of
# the message, its key and what compression adds where there is nothing to compress.
ROW_MAX_BYTES = 1_000_000


def most_rows(request: ExportRequested) -> int:
    """The most rows in a batch of this export.

    A row may be longer in the file than in its message, where a missing key takes no byte: 1,000
    empty rows of 256 columns could become 64 MiB through the text for null.
    """
    fitting = MOST_BATCH_OUTPUT_BYTES // 2 // _empty_row_bytes(request)
    return max(1, min(BATCH_ROWS, fitting))


def _empty_row_bytes(request: ExportRequested) -> int:
    """File bytes of a row whose cells are all empty; at least 1."""
    keys = [column.key for column in request.columns]
    match request.options:
        case CsvOptions(null=null):
            return len(keys) * (2 * len(null.encode()) + len('"",'))  # quotes in it are doubled
        case JsonOptions():
            return len(orjson.dumps(dict.fromkeys(keys))) + len(",\n")
        case XmlOptions(row=row):
            names = [row, *map(element_name, keys)]
            return sum(2 * len(name.encode()) + len('<></> xsi:nil="true"') for name in names)
        case PdfOptions() | XlsxOptions():
            return 1


class Batcher:
    """Numbers one export's batches, of at most ``most_rows`` rows each."""

    def __init__(self, export_id: str, most_rows: int = BATCH_ROWS) -> None:
        self._export_id = export_id
        self._most_rows = most_rows
        self._seq = 0
        self._rows = 0

    @property
    def rows(self) -> int:
        """Rows in the batches so far."""
        return self._rows

    def batches(self, rows: Iterable[Row | bytes]) -> Iterator[bytes]:
        """Messages with all of ``rows``, made lazily.

        A row is a list in column order or a dict by column key, or what ``encode_row`` made of one;
        its cells are any JSON value; integers of any length keep their digits. NaN and the
        infinities become null, as JSON has none.

        Raises:
            ClientError: a row is not JSON, or larger than a message may be; it names the row,
                counted from 1.
        """
        batch: list[bytes] = []
        size = 0
        for row in rows:
            encoded = self._encode_row(row, len(batch))
            if batch and (len(batch) == self._most_rows or size + len(encoded) > BATCH_BYTES):
                yield self._message(batch)
                batch, size = [], 0
            batch.append(encoded)
            size += len(encoded) + 1
        if batch:
            yield self._message(batch)

    def last(self) -> bytes:
        """The message that ends the export: no rows, and how many there were."""
        return self._message([], last=True)

    def _encode_row(self, row: Row | bytes, ahead: int) -> bytes:
        try:
            encoded = encode_row(row)
        except (TypeError, ValueError, RecursionError) as error:
            raise ProducerError(f"row {self._rows + ahead + 1}: {error}") from None
        if len(encoded) > ROW_MAX_BYTES:
            raise ProducerError(
                f"row {self._rows + ahead + 1}: its {len(encoded):,} bytes don't fit a message; "
                f"at most {ROW_MAX_BYTES:,} do"
            )
        return encoded

    def _message(self, batch: list[bytes], *, last: bool = False) -> bytes:
        self._rows += len(batch)
        fields = {
            "export_id": self._export_id,
            "seq": self._seq,
            "rows": orjson.Fragment(b"[" + b",".join(batch) + b"]"),
            "last": last,
        }
        if last:
            fields["total_rows"] = self._rows
        self._seq += 1
        return orjson.dumps(fields)


def encode_row(row: Row | bytes) -> bytes:
    """A row as compact UTF-8 JSON; bytes count as already encoded and are returned unchanged.

    Raises:
        TypeError: it is neither list nor dict, or holds a value that JSON lacks.
        ValueError: a string in it is not Unicode.
    """
    if not isinstance(row, list | dict):
        if isinstance(row, bytes):
            return row
        raise TypeError(f"a {type(row).__name__} is no row, which is a list or a dict")
    try:
        return orjson.dumps(row)
    except TypeError:
        # The standard library writes integers of any size, which orjson refuses beyond 64 bits.
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
