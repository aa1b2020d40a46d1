from collections import Counter
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson
import pytest

from producer.seed.rows import COLUMNS, order_rows
from producer.seed.scenarios import FIVE_SCENARIOS, Scenario, new_export_id
from producer.seed.word_pools import CITIES, FAMILY_NAMES, GIVEN_NAMES, PRODUCTS
from schemas.column_types import wrong_cell
from schemas.vocabulary import Format, is_export_id

KEYS = [column["key"] for column in COLUMNS]
FIRST_TWO = (
    '[[1,"2025-12-31T21:47:50Z","İbrahim Åkesson","Brno","Çay bardağı",7,"369.04","2583.28",'  # noqa: RUF001 - Turkish
    'null,true,null],[2,"2024-01-07T13:11:54Z","İbrahim Βασιλείου","София","USB-C cable, 2 m",'
    '12,"30.79","369.48",0.125,true,null]]'
)


@pytest.fixture(scope="module")
def orders() -> list[dict[Any, Any]]:
    return [dict(zip(KEYS, row, strict=True)) for row in order_rows("test", 20_000)]


def test_there_are_five_scenarios() -> None:
    assert [scenario.name for scenario in FIVE_SCENARIOS] == [
        "csv-1000",
        "csv-10000",
        "csv-50000",
        "pdf-1000",
        "pdf-10000",
    ]


def test_the_same_seed_and_index_give_the_same_rows() -> None:
    scenario = Scenario(Format.CSV, 1_000)
    assert list(scenario.rows(7, 2)) == list(scenario.rows(7, 2))


def test_another_seed_index_or_scenario_gives_other_rows() -> None:
    scenario = Scenario(Format.CSV, 1_000)
    others = [scenario.rows(8, 2), scenario.rows(7, 3), Scenario(Format.PDF, 1_000).rows(7, 2)]
    rows = list(scenario.rows(7, 2))
    assert all(list(other) != rows for other in others)


def test_rows_do_not_change_from_one_release_to_the_next() -> None:
    rows = orjson.dumps(list(order_rows("0/csv-1000/0", 2)))
    assert rows.decode() == FIRST_TWO


def test_rows_are_made_as_they_are_taken() -> None:
    first: list[Any] = list(islice(Scenario(Format.CSV, 10**12).rows(), 3))
    assert [row[0] for row in first] == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 1, 999])
def test_there_are_as_many_rows_as_wanted(count: int) -> None:
    assert len(list(Scenario(Format.PDF, count).rows())) == count


def test_amounts_are_exact(orders: list[dict[Any, Any]]) -> None:
    for order in orders:
        assert Decimal(order["unit_price"]) * order["quantity"] == Decimal(order["amount"])


def test_every_kind_of_cell_and_every_awkward_character_is_there(
    orders: list[dict[Any, Any]],
) -> None:
    kinds = {type(cell) for order in orders for cell in order.values()}
    assert kinds == {int, str, float, bool, type(None)}
    notes = {order["note"] for order in orders} - {None}
    for character in '",\n\r\t\\🎉':
        assert any(character in note for note in notes), repr(character)
    assert {note[0] for note in notes if note} >= set("=+-@ ")


def test_names_are_of_five_scripts(orders: list[dict[Any, Any]]) -> None:
    names = "".join(order["customer"] + order["city"] for order in orders)
    for letter in "ğışİΑώςЩЁїéñøJo":  # noqa: RUF001 - letters of five scripts
        assert letter in names


def test_an_emoji_is_rare_and_most_notes_are_null(orders: list[dict[Any, Any]]) -> None:
    notes = Counter(order["note"] for order in orders)
    assert 0 < sum(count for note, count in notes.items() if note and "🎉" in note) < 1_000
    assert 0.6 < notes[None] / len(orders) < 0.9


def test_pools_have_the_sizes_that_bits_pick_from() -> None:
    assert (len(GIVEN_NAMES), len(FAMILY_NAMES), len(CITIES), len(PRODUCTS)) == (32, 32, 16, 8)
    assert len(set(GIVEN_NAMES)) == len(set(FAMILY_NAMES)) == 32


@pytest.mark.parametrize("scenario", FIVE_SCENARIOS)
def test_a_request_is_valid_and_its_id_is_new_each_time(scenario: Scenario) -> None:
    first, second = scenario.request(), scenario.request()
    assert first.export_id != second.export_id
    assert first.export_id.startswith(f"seed-{scenario.name}-")
    assert (first.format, len(first.columns)) == (scenario.format, len(COLUMNS))


def test_ids_are_ids_and_never_the_same() -> None:
    ids = [new_export_id("submit") for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(map(is_export_id, ids))
    assert [one[:19] for one in ids] == sorted(one[:19] for one in ids)  # the time comes first


def test_a_workbook_gets_dates_and_amounts_by_their_columns_types() -> None:
    scenario = Scenario(Format.XLSX, 500)
    columns = scenario.request().columns
    typed = [(place, column.type) for place, column in enumerate(columns) if column.type]
    assert [columns[place].key for place, _ in typed] == ["ordered_at", "unit_price", "amount"]
    cells = [*zip(*scenario.rows(), strict=True)]
    assert [wrong_cell(cells[place], kind) for place, kind in typed] == [None, None, None]
    assert not any(column.type for column in Scenario(Format.CSV, 1).request().columns)
