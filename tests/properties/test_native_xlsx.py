"""Sheets in Rust: what Excel holds as a number, a date or a text, as Python decides it."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from consumer.formats.native import Native
from consumer.formats.xlsx import XlsxWriter
from schemas.records import Batch, Cell, encode_batch
from schemas.requests import ExportRequested
from schemas.sheets import MOST_CELL_CHARACTERS, MOST_SHEET_ROWS
from tests.properties.test_native import require_equal
from tests.properties.test_xlsx import exports
from tests.support.xlsx import xlsx_request

DECIMALS = """
1.50 -0.10 +1.5 .5 1. -.5 -0 0.0 -0.00 1e5 1.5e-3 1e22 1e23 -1E+2 1.e1 123456789012.50 100000000000
999999999999999 1000000000000000 9007199254740992 9007199254740993 -9007199254740994.0 1e400 1e-400
12345678901234567890.5 0.1000000000000000055511151231257827021181583404541015625 000000000000001.5
0.1234567890123456 123456789012345.6 0.000000000000001 1e300 0e99 1.0000000000000000000000000000001
"""
DAYS = "1899-12-30 1900-02-28 1900-03-01 0001-01-01 9999-12-31 2024-02-29 1970-01-01 2000-03-01"
TIMES = (
    "T00:00:00 T23:59:59-01:00 T23:59:59.999999999 T00:00:00+00:01 T12:34:56.1Z T10:00:00.0000009"
    " T23:59:59.999Z T23:59:59.999001"
)


def taken(native: Native, request: ExportRequested, rows: list[list[Any]]) -> bool:
    value = json.dumps({"export_id": "a", "seq": 0, "rows": rows}, ensure_ascii=False).encode()
    return require_equal(native, request, value, begun=True)


@given(exports())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_all_types_have_the_same_cells(
    native: Native, export: tuple[ExportRequested, list[tuple[Cell, ...]]]
) -> None:
    request, rows = export
    value = encode_batch(Batch("a", 0, [*map(list, rows)], last=False, total_rows=None))
    assert require_equal(native, request, value, begun=True) == bool(rows)


def test_integers_are_numbers_where_a_double_is_exact(native: Native) -> None:
    powers = [2**power for power in (52, 53, 54, 63, 64, 70, 200, 1023, 1024)]
    powers += [10**power for power in (10, 11, 12, 14, 15, 16, 22, 23, 30, 308, 309)]
    numbers = [
        sign * (power + step) for power in powers for step in (-2, -1, 0, 1, 2) for sign in (1, -1)
    ]
    assert taken(native, xlsx_request(["a"]), [[number] for number in numbers])


def test_decimals_are_numbers_where_a_double_keeps_them(native: Native) -> None:
    decimals = [*DECIMALS.split(), "1" + "0" * 398, "1" + "0" * 399, "1" + "0" * 400]
    chance = random.Random(7)
    for _ in range(5_000):
        digits, places = chance.randrange(1, 22), chance.randrange(25)
        text = str(chance.randrange(10**digits)).zfill(places + 1)
        decimals.append(f"{text[: len(text) - places]}.{text[len(text) - places :]}")
    request = xlsx_request([{"key": "a", "type": "decimal"}])
    assert taken(native, request, [[text] for text in decimals])


def test_days_and_times_are_pythons_to_the_last_bit(native: Native) -> None:
    chance, begin = random.Random(7), datetime(1, 1, 2, tzinfo=UTC)
    days = [
        *DAYS.split(),
        *((begin + timedelta(chance.randrange(3_652_000))).date().isoformat() for _ in range(500)),
    ]
    times = TIMES.split()
    stamps = [f"{day}{time}" for day in days for time in times]
    for _ in range(5_000):
        time = begin + timedelta(microseconds=chance.randrange(3_652_000 * 86_400 * 10**6))
        zone = chance.choice(["", "Z", "+05:30", "-23:59"])
        stamps.append(time.isoformat(chance.choice("T "))[:-6] + zone)
    for kind, texts in (("date", days), ("timestamp", stamps)):
        request = xlsx_request([{"key": "a", "type": kind}])
        assert taken(native, request, [[text] for text in texts])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("x" * MOST_CELL_CHARACTERS, True),
        ("x" * (MOST_CELL_CHARACTERS + 1), False),
        ("\N{ROCKET}" * (MOST_CELL_CHARACTERS // 2) + "x", True),
        ("\N{ROCKET}" * (MOST_CELL_CHARACTERS // 2 + 1), False),
        (["é" * MOST_CELL_CHARACTERS], False),
    ],
)
def test_a_cell_of_too_many_characters_is_pythons_business(
    native: Native, text: Cell, fits: bool
) -> None:
    assert taken(native, xlsx_request(["a"]), [[text]]) == fits


def test_until_widths_are_known_and_where_a_sheet_ends_python_encodes(native: Native) -> None:
    request = xlsx_request(["a"])
    one, two = (b'{"export_id":"a","seq":0,"rows":[%b]}' % rows for rows in (b"[1]", b"[1],[2]"))
    assert not require_equal(native, request, one, begun=False)
    options = XlsxWriter(request, dated_at=None).native_options()
    encoder = native.RowEncoder.xlsx(["a"], [None], **options)
    assert encoder.encode(two, MOST_SHEET_ROWS - 1, 1_000) is not None
    assert encoder.encode(one, MOST_SHEET_ROWS, 1_000) is not None
    assert encoder.encode(two, MOST_SHEET_ROWS, 1_000) is None
    assert encoder.encode(one, MOST_SHEET_ROWS + 1, 1_000) is None


@pytest.mark.parametrize(("rows", "fits"), [(1_000, True), (2_000, False)])
def test_what_takes_long_to_pack_is_left_to_python(native: Native, rows: int, fits: bool) -> None:
    assert taken(native, xlsx_request(["a"]), [["x" * 500]] * rows) == fits
