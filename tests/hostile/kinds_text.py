"""Hostile texts: runs of combining marks, and the other extremes of Unicode.

A run of marks in falling order of class is the worst for canonical ordering, which is quadratic in
the run (Unicode 15, 3.11).
"""

import json
from functools import partial
from typing import Any

from tests.hostile.target import COMPLETED, TYPED, Kind, Target
from tests.hostile.wire import Codec, Text

MARKS = (10_000, 40_000, 80_000, 160_000, 200_000)


def marks(times: int) -> str:
    """Marks above, then as many below: the latter belong before the former."""
    return "\u0301" * times + "\u0323" * times


def rows_of_text(text: str) -> bytes:
    """One row of one cell, as JSON in UTF-8."""
    return json.dumps([[text]], ensure_ascii=False).encode()


async def _marked_cells(target: Target, file_format: str) -> None:
    for times in MARKS:
        await target.export(COMPLETED, rows_of_text(marks(times)), format=file_format)


async def _marked_frame(target: Target, file_format: str) -> None:
    row = b'[["x"]]'
    for times in MARKS:
        text = marks(times)
        await target.export(TYPED, row, format=file_format, title=text)
        column = {"key": "a", "header": text}
        await target.export(TYPED, row, format=file_format, columns=[column])


async def _marked_rows(target: Target) -> None:
    """A legal record of many short runs: 1,000 marks each."""
    rows = json.dumps([[marks(500)]] * 450, ensure_ascii=False).encode()
    await target.export(COMPLETED, rows, format="pdf")


async def _cells(target: Target, texts: list[str], **fields: Any) -> None:
    for file_format in ("csv", "pdf"):
        for text in texts:
            await target.export(TYPED, rows_of_text(text), format=file_format, **fields)


async def _large_cell(target: Target, file_format: str) -> None:
    text = Text(b'[["', "Größe ".encode(), 10_000_000 // 8, b'"]]')
    await target.export(COMPLETED, text, format=file_format, codec=Codec.ZSTD)


async def _surrogates(target: Target) -> None:
    """Escaped halves of pairs: JSON's grammar has them, UTF-8 has not."""
    for file_format in ("csv", "pdf"):
        cell = Text(b'[["', b"\\ud800", 150_000, b'"]]')
        await target.export(TYPED, cell, format=file_format)


_EVERY_CHARACTER = "".join(map(chr, [*range(32, 0xD800), *range(0xE000, 0x30000)]))
_LONG = 200_000

KINDS = (
    Kind("marks in a PDF cell", partial(_marked_cells, file_format="pdf"), short=True),
    Kind("marks in a CSV cell", partial(_marked_cells, file_format="csv")),
    Kind("marks in a PDF title, header", partial(_marked_frame, file_format="pdf"), short=True),
    Kind("marks in a CSV title, header", partial(_marked_frame, file_format="csv")),
    Kind("450 cells of 1,000 marks in a PDF", _marked_rows),
    Kind("one CSV cell of 10 MB", partial(_large_cell, file_format="csv")),
    Kind("one PDF cell of 10 MB", partial(_large_cell, file_format="pdf"), short=True),
    Kind(
        "right to left",
        partial(_cells, texts=["שלום" * 100_000, "\u202e" * _LONG, "\u2067" * _LONG]),
    ),
    Kind(
        "joiners, emoji, Hangul, Devanagari",
        partial(
            _cells,
            texts=[
                "👩\u200d" * 100_000,
                "👍🏽" * 100_000,
                "\u1112\u1161\u11ab" * 100_000,
                "क\u094d" * 100_000,
                "\ufdfa" * _LONG,
            ],
        ),
    ),
    Kind(
        "every character, and none that prints",
        partial(_cells, texts=[_EVERY_CHARACTER, "\0" * _LONG, "\ufeff" * _LONG, "\n" * _LONG]),
    ),
    Kind("escaped halves of surrogate pairs", _surrogates),
)
