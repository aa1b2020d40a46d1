"""Ids of retries: derived, never longer than an id may be, and never another export's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.requests import Column, ExportRequested
from schemas.retries import MOST_RETRIES, RetryAttempt, attempt_of, retry_id
from schemas.vocabulary import EXPORT_ID, Format, is_export_id

IDS = st.from_regex(EXPORT_ID, fullmatch=True)
NUMBERS = st.integers(1, MOST_RETRIES)


def test_a_retry_is_named_after_the_original() -> None:
    assert retry_id("ord-2026-11", 1) == "ord-2026-11-retry-1"
    assert attempt_of("ord-2026-11", None) == RetryAttempt("ord-2026-11", 0)


def test_a_retry_of_a_retry_counts_on_from_the_original() -> None:
    attempt = attempt_of("ord-retry-1", "ord")
    assert attempt == RetryAttempt("ord", 1)
    assert RetryAttempt(attempt.original, attempt.number + 1).export_id == "ord-retry-2"


@pytest.mark.parametrize(
    ("export_id", "retry_of"),
    [
        ("ord-retry-1", None),
        ("ord-retry-1", "other"),
        ("ord-retry-0", "ord"),
        ("ord-retry-01", "ord"),
        ("ord", "ord"),
        ("mine", "ord"),
    ],
)
def test_what_only_looks_like_a_retry_is_an_original(export_id: str, retry_of: str | None) -> None:
    assert attempt_of(export_id, retry_of) == RetryAttempt(export_id, 0)


@given(original=IDS, number=NUMBERS)
def test_every_retry_has_a_valid_id_that_tells_which_one_it_is(original: str, number: int) -> None:
    export_id = retry_id(original, number)
    assert is_export_id(export_id)
    assert attempt_of(export_id, original) == RetryAttempt(original, number)


def test_long_ids_that_begin_alike_stay_apart() -> None:
    one, other = "a" * 127 + "b", "a" * 127 + "c"
    assert len({retry_id(one, 1), retry_id(other, 1), retry_id(one, 2)}) == 3
    assert len(retry_id(one, MOST_RETRIES)) == 128


def test_a_file_shows_of_a_retry_what_the_original_s_shows() -> None:
    original = ExportRequested(export_id="ord", format=Format.PDF, columns=(Column(key="a"),))
    retried = original.model_copy(update={"export_id": "ord-retry-1", "retry_of": "ord"})
    assert original.heading == retried.heading == "ord"
    assert retried.model_copy(update={"title": "Orders"}).heading == "Orders"
