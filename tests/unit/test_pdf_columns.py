"""How a page's width is shared out, and how large the type is."""

from itertools import pairwise

import pytest

from consumer.formats.pdf.columns import Columns, Need, columns, levelled

EM = 200  # units
LEFT, TOTAL, LARGEST, READABLE = 36.0, 520.0, 10.0, 5.5


def placed(*needs: Need, total: float = TOTAL, largest: float = LARGEST) -> Columns:
    return columns(LEFT, total, needs, largest, READABLE)


def need(
    text: float = 0, whole: float = 0, header: float = 1, requested: float | None = None
) -> Need:
    """Widths in ems."""
    return Need(requested, int(header * EM), int(whole * EM), int(text * EM))


def widths_of(columns: Columns) -> list[float]:
    return [right - left for left, right in pairwise(columns.edges)]


def rooms_of(columns: Columns) -> list[float]:
    """In ems of the type that cells have."""
    count = len(columns.edges) - 1
    return [columns.room(index, columns.type_size) / EM for index in range(count)]


def test_columns_follow_their_content_and_fill_the_page() -> None:
    result = placed(need(2), need(8), need(20))
    assert widths_of(result) == sorted(widths_of(result))
    assert sum(widths_of(result)) == pytest.approx(TOTAL, abs=0.1)
    assert result.type_size == LARGEST
    assert all(room > ems for room, ems in zip(rooms_of(result), (2, 8, 20), strict=True))


def test_the_type_is_as_large_as_the_page_allows() -> None:
    result = placed(*[need(8)] * 8)
    assert READABLE < result.type_size < LARGEST
    assert all(8 <= room < 8.2 for room in rooms_of(result))
    assert result.complete


def test_text_is_cut_before_its_type_gets_too_small() -> None:
    result = placed(*[need(80)] * 8)
    assert result.type_size == READABLE
    assert not result.complete


def test_a_few_very_long_texts_do_not_shrink_the_type() -> None:
    result = placed(need(4), need(500))
    assert result.type_size == LARGEST
    assert rooms_of(result)[0] == pytest.approx(4, abs=0.2)


def test_long_identifiers_get_the_room_that_one_letter_columns_do_not_need() -> None:
    """Two GUIDs were cut while six columns of one letter kept slack."""
    result = placed(*[need(20.6)] * 2, *[need(0.6)] * 6, *[need(6)] * 4)
    assert all(room >= 20.6 for room in rooms_of(result)[:2])


def test_numbers_get_their_room_before_text_does() -> None:
    result = placed(*[need(whole=9)] * 6, need(60))
    assert all(room >= 9 for room in rooms_of(result)[:6])
    assert rooms_of(result)[6] >= 2.5


def test_numbers_are_set_smaller_than_text_would_be_but_not_below_four_points() -> None:
    result = placed(*[need(whole=9)] * 11)
    assert 4 <= result.type_size < READABLE
    assert all(room >= 9 for room in rooms_of(result))
    least = placed(*[need(whole=9)] * 30)
    assert least.type_size == 4
    assert max(rooms_of(least)) < 9
    assert least.edges[-1] <= LEFT + TOTAL + 0.1


def test_requested_widths_hold_and_the_rest_is_shared() -> None:
    result = placed(need(9, requested=60), need(9), need(9, requested=100.5), need(9))
    first, second, third, fourth = widths_of(result)
    assert (first, third) == pytest.approx((60, 100.5), abs=0.02)
    assert second == pytest.approx(fourth, abs=0.02)
    assert result.edges[-1] == pytest.approx(LEFT + TOTAL, abs=0.1)


def test_a_number_needs_more_than_was_requested() -> None:
    result = placed(need(whole=12, requested=30), need(40, requested=400))
    assert rooms_of(result)[0] >= 12


def test_requested_widths_narrower_than_the_page_are_not_stretched() -> None:
    assert widths_of(placed(need(1, requested=50), need(1, requested=70))) == [50, 70]


def test_requested_widths_wider_than_the_page_shrink_in_proportion() -> None:
    first, second = widths_of(placed(need(requested=1_000), need(requested=3_000)))
    assert second == pytest.approx(3 * first, abs=0.05)
    assert first + second == pytest.approx(TOTAL, abs=0.05)


def test_requested_widths_leave_some_room_for_the_others() -> None:
    wide = need(9, requested=14_400)
    assert widths_of(placed(wide, need(9), wide))[1] >= 20


@pytest.mark.parametrize("largest", [10, 0.5])
@pytest.mark.parametrize("count", [1, 2, 30, 100, 256])
def test_no_column_leaves_the_page(count: int, largest: float) -> None:
    for one in (need(9), need(whole=9), need(9, requested=300)):
        result = placed(*[one] * count, largest=largest)
        assert result.edges[0] == LEFT
        assert result.edges[-1] <= LEFT + TOTAL + 0.1
        assert min(widths_of(result)) > 0
        assert result.type_size >= min(4, largest)


def test_what_is_too_wide_is_cut_to_one_level() -> None:
    assert levelled([0] * 4, [10, 300, 20, 400], 100) == pytest.approx([10, 35, 20, 35])
    assert levelled([0, 60, 0], [50, 60, 50], 100) == pytest.approx([20, 60, 20])
