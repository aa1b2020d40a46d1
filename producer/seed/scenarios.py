"""Generated exports: their requests, under ids that are always new, and their publication.

Invariant: the same seed, scenario and index give the same rows; ids differ every time.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from producer.publisher import Export, ExportPublisher
from producer.seed.rows import COLUMNS, TYPES, order_rows
from schemas.records import Row
from schemas.requests import ExportRequested
from schemas.vocabulary import Format

_SLICE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """An export to generate: its format and number of rows."""

    format: Format
    records: int

    @property
    def name(self) -> str:
        """Such as ``csv-10000``."""
        return f"{self.format}-{self.records}"

    def request(self) -> ExportRequested:
        """A request with a new id, such as ``seed-csv-10000-019a…``."""
        options = {"orientation": "landscape"} if self.format is Format.PDF else {}
        return ExportRequested.model_validate(
            {
                "export_id": new_export_id(f"seed-{self.name}"),
                "format": self.format,
                "columns": self._columns(),
                "title": f"Orders · {self.records:,} rows",
                "user": "seed",
                "options": options,
            }
        )

    def _columns(self) -> list[dict[str, object]]:
        """A workbook has use for the columns' types; in other formats they change nothing."""
        types = TYPES if self.format is Format.XLSX else {}
        return [
            {**column, "type": types[column["key"]]} if column["key"] in types else {**column}
            for column in COLUMNS
        ]

    def rows(self, seed: int = 0, index: int = 0) -> Iterator[Row]:
        """The rows, made lazily; ``index`` distinguishes exports of one seed."""
        return order_rows(f"{seed}/{self.name}/{index}", self.records)


FIVE_SCENARIOS = (
    Scenario(Format.CSV, 1_000),
    Scenario(Format.CSV, 10_000),
    Scenario(Format.CSV, 50_000),
    Scenario(Format.PDF, 1_000),
    Scenario(Format.PDF, 10_000),
)


def new_export_id(prefix: str) -> str:
    """A unique id: the time in milliseconds, so that ids sort by it, and random digits."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"


async def publish(
    publisher: ExportPublisher,
    scenario: Scenario,
    *,
    seed: int = 0,
    index: int = 0,
    on_rows: Callable[[Export], None] = lambda _: None,
) -> Export:
    """Publish one generated export; ``on_rows`` is called after the request and after each chunk.

    Raises:
        ClientError: it can't be published. It is then cancelled, as it is when the task is.
    """
    async with publisher.export(scenario.request()) as export:
        on_rows(export)
        rows = scenario.rows(seed, index)
        while some := list(islice(rows, _SLICE_ROWS)):
            await export.send(some)
            on_rows(export)
    return export
