"""What is committed comes back as it was, within Kafka's limit."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.resume import (
    METADATA_LIMIT,
    Committed,
    ResumePoint,
    decode_ascending,
    encode_ascending,
    resume_point,
)

OFFSETS = st.integers(0, 2**62)


@st.composite
def points(draw: st.DrawFn) -> ResumePoint:
    requests = draw(st.sets(OFFSETS, max_size=50))
    position = draw(st.integers(max(requests, default=0) + 1, 2**63 - 1))
    resume, records = sorted((draw(OFFSETS), draw(OFFSETS)))
    open_requests = tuple(sorted(requests))
    begun = tuple(offset for offset in open_requests if draw(st.booleans()))
    return ResumePoint(position, open_requests, resume, records, begun)


@given(points())
def test_a_resume_point_survives_the_commit(point: ResumePoint) -> None:
    assert resume_point(point.committed_requests(), point.committed_records()) == point


@given(st.integers(0, 2**40), st.lists(st.integers(1, 2**21 - 1), max_size=999))
def test_a_thousand_open_requests_fit_the_metadata(first: int, gaps: list[int]) -> None:
    offsets = [first]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    text = encode_ascending(offsets)
    assert len(text) <= METADATA_LIMIT
    assert list(decode_ascending(text)) == offsets


@given(st.integers(1, 1000), st.integers(0, 2**62), st.data())
def test_any_of_a_thousand_begun_exports_fit_the_metadata(
    count: int, ahead: int, data: st.DataObject
) -> None:
    every = data.draw(st.integers(1, count))
    point = ResumePoint(count, tuple(range(count)), 5, 5 + ahead, tuple(range(0, count, every)))
    assert len(point.committed_records().metadata) <= METADATA_LIMIT
    assert resume_point(point.committed_requests(), point.committed_records()) == point


def test_what_was_committed_before_exports_were_marked_as_begun_is_read() -> None:
    requests, records = Committed(10, "1AwI="), Committed(100, "1Bw==")
    assert resume_point(requests, records) == ResumePoint(10, (3, 5), 100, 107)


def test_whoever_knows_no_marks_reads_the_position_first() -> None:
    metadata = ResumePoint(10, (3, 5), 100, 107, (5,)).committed_records().metadata
    assert metadata == "1BwI="
    assert next(decode_ascending(metadata)) == 7


@pytest.mark.parametrize("numbers", [[7, 7], [7, 10], [7, 8, 500]])
def test_a_mark_of_nothing_that_is_open_says_nothing(numbers: list[int]) -> None:
    found = resume_point(Committed(10, "1AwI="), Committed(100, encode_ascending(numbers)))
    assert found == ResumePoint(10, (3, 5), 100, 107, (3,) if 8 in numbers else ())


def test_metadata_of_other_tools_says_none_open() -> None:
    assert resume_point(Committed(7, ""), Committed(9, "")) == ResumePoint(7, (), 9, 9)


@pytest.mark.parametrize("text", ["2AAAA", "hello", "1!!!", "1gA=="])
def test_metadata_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="metadata"):
        resume_point(Committed(7, text), Committed(9, ""))


def test_an_open_request_above_the_position_is_refused() -> None:
    with pytest.raises(ValueError, match="above the position"):
        resume_point(Committed(3, encode_ascending([5])), Committed(0, ""))


@given(st.text(max_size=40))
def test_no_metadata_crashes(text: str) -> None:
    with contextlib.suppress(ValueError):
        resume_point(Committed(7, text), Committed(9, text))
