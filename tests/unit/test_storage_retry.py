"""Patience with a refusing storage."""

import pytest

from consumer.core.storage_retry import LONGEST_BACKOFF_SECONDS, RetryBudget


def test_it_ends_after_the_timeout_and_not_before() -> None:
    patience = RetryBudget(10)
    assert [patience.refused(now) for now in (100, 105, 109.9, 110, 111)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_what_was_served_renews_it() -> None:
    patience = RetryBudget(10)
    patience.refused(100)
    patience.served()
    assert patience.wait_seconds(100) == 0
    assert not patience.refused(200)
    assert patience.refused(210)


def test_it_waits_longer_each_time_up_to_a_limit() -> None:
    patience = RetryBudget(1000)
    waits = []
    now = 0.0
    for _ in range(10):
        patience.refused(now)
        waits.append(patience.wait_seconds(now))
        now += waits[-1]
    assert waits == sorted(waits)
    assert waits[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert waits[-1] == LONGEST_BACKOFF_SECONDS


def test_what_has_ended_is_forgotten() -> None:
    patience = RetryBudget(10)
    patience.unsynced("a", 100)
    patience.ended(["a", "b"])
    assert patience.given_up(200) == frozenset()


def test_an_export_that_can_not_be_synced_is_given_up_by_itself() -> None:
    patience = RetryBudget(10)
    patience.unsynced("a", 100)
    patience.unsynced("b", 108)
    patience.unsynced("a", 109)
    assert patience.given_up(109) == frozenset()
    assert patience.given_up(110) == {"a"}
    assert patience.given_up(118) == {"a", "b"}
