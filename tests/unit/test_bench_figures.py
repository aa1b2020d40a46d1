import json
from pathlib import Path

import pytest

from bench.document import with_figures
from bench.encoders import with_ratios
from bench.figures import spread, table, thousands
from bench.plot import shown_bars
from bench.stages import STAGES, by_stage
from bench.watched_node import longest


def test_the_longest_stall_is_that_of_the_run(tmp_path: Path) -> None:
    stalls = tmp_path / "stalls.json"
    stalls.write_text(json.dumps([(9.0, 0.4), (10.0, 0.006), (11.5, 0.02), (12.1, 0.3)]))
    assert longest(stalls, begun=10.0, ended=12.0) == 0.02
    assert longest(stalls, begun=12.5, ended=13.0) == 0.0


def test_a_spread_is_the_median_between_its_ends() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}


@pytest.mark.parametrize(
    ("value", "shown"), [(8_234, "8.2k"), (301_400, "301k"), (12_000, "12k"), (420, "0.4k")]
)
def test_speeds_are_shown_in_thousands(value: float, shown: str) -> None:
    assert thousands(value) == shown


def test_a_table_aligns_its_figures() -> None:
    assert table(["who", "rows/s"], [["ours", "750k"], ["theirs", "9.1k"]]).splitlines() == [
        "| who    | rows/s |",
        "| ------ | -----: |",
        "| ours   |   750k |",
        "| theirs |   9.1k |",
    ]


def test_the_rule_of_an_empty_column_is_still_one() -> None:
    assert table(["a", ""], [["b", ""]]).splitlines() == [
        "| a   |     |",
        "| --- | --: |",
        "| b   |     |",
    ]


def test_figures_replace_the_former_ones_and_nothing_else() -> None:
    page = "before\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert with_figures(page, "a", "| x |\n\nplain") == (
        "before\n<!-- a -->\n| x |\n\n```\nplain\n```\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    )


@pytest.mark.parametrize("page", ["", "<!-- a -->\n<!-- /a -->\n<!-- a -->\n<!-- /a -->"])
def test_a_page_without_one_place_for_the_figures_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="places for a"):
        with_figures(page, "a", "x")


def speed(name: str, rows_per_second: float) -> dict[str, object]:
    return {"name": name, "rows_per_second": {"median": rows_per_second}}


def test_ratios_are_to_the_original_and_to_the_copy() -> None:
    figures = with_ratios(
        [speed("ours", 600.0), speed("npm", 300.0), speed("cp", 6e3)], "npm", "cp"
    )
    assert [one["to_original"] for one in figures] == [2.0, 1.0, 20.0]
    assert [one["copy_to_it"] for one in figures] == [10.0, 20.0, 1.0]


def test_without_the_original_there_is_no_ratio_to_it() -> None:
    (figures,) = with_ratios([speed("ours", 600.0)], "npm", "cp")
    assert figures["to_original"] is figures["copy_to_it"] is None


def test_the_bars_leave_the_copy_out_and_end_with_the_quickest() -> None:
    contenders = with_ratios(
        [speed("Sluice", 600.0), speed("npm", 300.0), speed("a plain copy of it", 9e3)], "npm", "cp"
    )
    bars = shown_bars({"contenders": contenders})
    assert [(name, height) for name, height, _ in bars] == [("npm", 300.0), ("Sluice", 600.0)]
    assert len({colour for *_, colour in bars}) == 2


def test_the_stages_are_all_of_the_cpu_time() -> None:
    traced = {"turn": 2.0, "decode": 0.5, "encode": 1.0, "hash": 0.1, "transaction": 0.1}
    figures = by_stage(traced, loop=0.5, total=2.75, million_rows=0.5)
    assert tuple(figures) == STAGES
    assert sum(figures.values()) == pytest.approx(2.75 / 0.5)
    assert figures["turns"] == pytest.approx((2.0 - 1.6) / 0.5)
    assert figures["fetch"] == pytest.approx(0.4 / 0.5)
