"""Retries of a refusing storage: how long, and what is given up."""

import pytest

from consumer.core.storage_retry import LONGEST_BACKOFF_SECONDS, RetryBudget


def test_it_ends_after_the_timeout_and_not_before() -> None:
    retry_budget = RetryBudget(10)
    assert [retry_budget.refused(now) for now in (100, 105, 109.9, 110, 111)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_what_was_served_renews_it() -> None:
    retry_budget = RetryBudget(10)
    retry_budget.refused(100)
    retry_budget.served()
    assert retry_budget.wait_seconds(100) == 0
    assert not retry_budget.refused(200)
    assert retry_budget.refused(210)


def test_it_waits_longer_each_time_up_to_a_limit() -> None:
    retry_budget = RetryBudget(1000)
    waits = []
    now = 0.0
    for _ in range(10):
        retry_budget.refused(now)
        waits.append(retry_budget.wait_seconds(now))
        now += waits[-1]
    assert waits == sorted(waits)
    assert waits[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert waits[-1] == LONGEST_BACKOFF_SECONDS


def test_what_has_ended_is_forgotten() -> None:
    retry_budget = RetryBudget(10)
    retry_budget.unsynced("a", 100)
    retry_budget.ended(["a", "b"])
    assert retry_budget.given_up(200) == frozenset()


def test_an_export_that_can_not_be_synced_is_given_up_by_itself() -> None:
    retry_budget = RetryBudget(10)
    retry_budget.unsynced("a", 100)
    retry_budget.unsynced("b", 108)
    retry_budget.unsynced("a", 109)
    assert retry_budget.given_up(109) == frozenset()
    assert retry_budget.given_up(110) == {"a"}
    assert retry_budget.given_up(118) == {"a", "b"}
