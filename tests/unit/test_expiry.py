"""Slots of time: what is due, for whom, and when no more notes are made in one."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.core.expiry import Due, slot_of

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "slot"),
    [(0, "2026-11-28/1200"), (119.999, "2026-11-28/1200"), (120, "2026-11-28/1202")],
)
def test_a_slot_is_two_minutes_of_a_day(seconds: float, slot: str) -> None:
    assert slot_of(NOON + seconds * SECOND, NOON) == slot
    assert slot_of(NOON - 1000 * MINUTE, NOON + seconds * SECOND) == slot, "not in the past"


def test_the_owner_comes_first_and_any_node_within_ten_minutes() -> None:
    """Of a slot as a whole, once its last file has expired two minutes ago."""
    slot = slot_of(NOON + 119 * SECOND, NOON)
    ours = [n for n in range(12) if Due.for_owner(NOON + n * MINUTE, [3]).covers(slot, 3)]
    others = [n for n in range(12) if Due.for_owner(NOON + n * MINUTE, [3]).covers(slot, 4)]
    assert (ours[0], others[0]) == (4, 7)
    assert not Due.for_owner(NOON + 4 * MINUTE - SECOND, [3]).covers(slot, 3)


def test_what_is_covered_of_a_node_is_over() -> None:
    for second in range(0, 1200, 7):
        due = Due.for_owner(NOON + second * SECOND, [3])
        for minute in range(-10, 20, 2):
            slot = slot_of(NOON + minute * MINUTE, datetime.min.replace(tzinfo=UTC))
            covered = due.covers(slot, 3)
            assert covered <= due.is_over(slot)
            assert covered == (slot in due.begun([slot]))
            assert not covered or NOON + (minute + 2) * MINUTE <= due.before(3)


def test_at_once_covers_what_has_begun_and_is_not_over() -> None:
    due = Due.at_once(NOON + SECOND)
    assert list(due.begun(["2026-11-28/1158", "2026-11-28/1200", "2026-11-28/1202"])) == [
        "2026-11-28/1158",
        "2026-11-28/1200",
    ]
    assert due.covers("2026-11-28/1200", 7)
    assert not due.is_over("2026-11-28/1158")
    assert due.is_over("2026-11-28/1156")


def test_names_that_are_none_are_passed_over() -> None:
    due = Due.at_once(NOON)
    assert list(due.begun(["2026-11-28/x", "", "2026-11-28/2500"])) == []
    assert list(due.begun_days(["2026-11-29", "2026-11-28", "2026-11-27", "x"])) == [
        "2026-11-27",
        "2026-11-28",
    ]
