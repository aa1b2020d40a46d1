"""What is committed comes back as it was, within Kafka's limit."""

import contextlib
from dataclasses import replace
from random import Random

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
from consumer.core.suspects import MOST_SUSPECTS, Mark, MessagePlace, Suspect, with_marks

OFFSETS = st.integers(0, 2**62)


@st.composite
def points(draw: st.DrawFn) -> ResumePoint:
    requests = draw(st.sets(OFFSETS, max_size=50))
    position = draw(st.integers(max(requests, default=0) + 1, 2**63 - 1))
    resume, records = sorted((draw(OFFSETS), draw(OFFSETS)))
    open_requests = tuple(sorted(requests))
    begun = [offset for offset in open_requests if draw(st.booleans())]
    firsts = tuple((offset, draw(st.integers(resume, records))) for offset in begun)
    return ResumePoint(position, open_requests, resume, records, firsts)


NAMES = st.integers(0, 2**32 - 1)
PLACES = st.builds(MessagePlace, st.booleans(), OFFSETS)
MARKS = st.builds(Mark, NAMES, PLACES | st.none(), st.booleans())
SUSPECTS = st.builds(Suspect, PLACES, st.none() | NAMES)


@given(points(), st.lists(SUSPECTS, max_size=5).map(tuple))
def test_suspects_survive_the_commit(point: ResumePoint, suspects: tuple[Suspect, ...]) -> None:
    suspected = replace(point, suspects=suspects)
    requests, records = suspected.committed_requests(), suspected.committed_records()
    assert resume_point(requests, records) == suspected
    assert requests == point.committed_requests()


@given(points(), st.lists(SUSPECTS, min_size=1, max_size=5).map(tuple))
def test_builds_that_know_of_no_suspects_read_past_them(
    point: ResumePoint, suspects: tuple[Suspect, ...]
) -> None:
    resume = point.records_resume
    begun_at_once = tuple((request, resume) for request in point.begun_requests)
    plain = replace(point, first_batches=begun_at_once)
    ahead, *places = decode_ascending(
        replace(plain, suspects=suspects).committed_records().metadata
    )
    assert ahead == point.records_position - resume
    opened = enumerate(point.open_requests, 1)
    begun = tuple(request for place, request in opened if ahead + place in places)
    assert begun == point.begun_requests


@given(st.lists(SUSPECTS, max_size=9), st.lists(MARKS))
def test_a_mark_counts_once(suspects: list[Suspect], marks: list[Mark]) -> None:
    once = with_marks(suspects, marks)
    assert with_marks(once, marks) == once
    assert {mark.place for mark in marks if mark.place} <= {one.place for one in once}


def test_the_second_death_is_that_of_another_mark_and_alone() -> None:
    place = MessagePlace(True, 7)
    first = with_marks((), [Mark(1, place), Mark(3, None)])
    assert first == (Suspect(place, 1),)
    assert not first[0].died_on_twice
    assert with_marks(first, [Mark(1, place)]) == first
    assert with_marks(first, [Mark(1, place, alone=True)]) == first
    assert with_marks(first, [Mark(2, place)]) == first, "another message may have killed"
    assert with_marks(first, [Mark(2, place, alone=True)])[0].died_on_twice
    assert not with_marks((), [Mark(1, place, alone=True)])[0].died_on_twice


@pytest.mark.parametrize("alone_first", [True, False])
def test_two_deaths_that_are_found_at_once_count_both(alone_first: bool) -> None:
    place = MessagePlace(True, 7)
    marks = [Mark(1, place, alone=alone_first), Mark(2, place, alone=not alone_first)]
    assert with_marks((), marks)[0].died_on_twice


@given(st.integers(0, 1000))
def test_many_suspects_beside_many_open_exports_fit(begun: int) -> None:
    sure, weak = (
        [MessagePlace(True, 2**40 + n * 10**9) for n in range(at, 200, 2)] for at in (0, 1)
    )
    found = with_marks([Suspect(it, None) for it in sure], [Mark(2**32 - 1, it) for it in weak])
    assert len(found) == MOST_SUSPECTS
    assert all(suspect.died_on_twice for suspect in found)
    firsts = tuple((n, n * 10**6) for n in range(begun))
    weakest = tuple(Suspect(it, 2**32 - 1) for it in weak[:MOST_SUSPECTS])
    point = ResumePoint(1000, tuple(range(1000)), 0, 2**41, firsts, weakest)
    assert len(point.committed_records().metadata) <= METADATA_LIMIT
    assert resume_point(point.committed_requests(), point.committed_records()).suspects == weakest


@given(points())
def test_a_resume_point_survives_the_commit(point: ResumePoint) -> None:
    assert resume_point(point.committed_requests(), point.committed_records()) == point


@given(points())
def test_what_older_builds_can_say_is_written_as_they_read_it(point: ResumePoint) -> None:
    resume = point.records_resume
    begun_at_once = replace(
        point, first_batches=tuple((request, resume) for request in point.begun_requests)
    )
    for plain in (begun_at_once, replace(point, open_requests=(), first_batches=())):
        metadata = plain.committed_records().metadata
        assert next(decode_ascending(metadata)) == point.records_position - resume
        assert resume_point(plain.committed_requests(), plain.committed_records()) == plain


@given(st.integers(0, 2**40), st.lists(st.integers(1, 2**21 - 1), max_size=999))
def test_a_thousand_open_requests_fit_the_metadata(first: int, gaps: list[int]) -> None:
    offsets = [first]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    text = encode_ascending(offsets)
    assert len(text) <= METADATA_LIMIT
    assert list(decode_ascending(text)) == offsets


@given(st.integers(1, 1000), st.integers(0, 2**40), st.integers(1, 2**11), st.randoms())
def test_first_batches_of_a_thousand_exports_that_begin_in_order_fit(
    count: int, resume: int, most: int, random: Random
) -> None:
    begun, first, firsts = random.sample(range(count), random.randint(1, count)), resume, []
    for request in sorted(begun):
        firsts.append((request, first))
        first += random.randint(0, most)
    point = ResumePoint(count, tuple(range(count)), resume, first + 1, tuple(firsts))
    assert len(point.committed_records().metadata) <= METADATA_LIMIT
    assert resume_point(point.committed_requests(), point.committed_records()) == point


@given(st.integers(1, 1000), st.integers(2**41, 2**62), st.integers(1, 3))
def test_first_batches_that_fit_in_no_way_leave_at_least_who_is_begun(
    count: int, ahead: int, step: int
) -> None:
    firsts = tuple((n, 5 + n % 2 * (ahead - 1)) for n in range(0, count, step))
    point = ResumePoint(count, tuple(range(count)), 5, 5 + ahead, firsts)
    assert len(point.committed_records().metadata) <= METADATA_LIMIT
    found = resume_point(point.committed_requests(), point.committed_records())
    assert found.begun_requests == point.begun_requests
    pairs = zip(found.first_batches, firsts, strict=True)
    assert all(resumed <= first for (_, resumed), (_, first) in pairs)
    assert replace(found, first_batches=()) == replace(point, first_batches=())


def test_what_was_committed_before_exports_were_marked_as_begun_is_read() -> None:
    requests, records = Committed(10, "1AwI="), Committed(100, "1Bw==")
    assert resume_point(requests, records) == ResumePoint(10, (3, 5), 100, 107)


@pytest.mark.parametrize("numbers", [[7, 7], [7, 10], [7, 8, 500]])
def test_a_mark_of_nothing_that_is_open_says_nothing(numbers: list[int]) -> None:
    found = resume_point(Committed(10, "1AwI="), Committed(100, encode_ascending(numbers)))
    assert found == ResumePoint(10, (3, 5), 100, 107, ((3, 100),) if 8 in numbers else ())


def test_metadata_of_other_tools_says_none_open() -> None:
    assert resume_point(Committed(7, ""), Committed(9, "")) == ResumePoint(7, (), 9, 9)


@pytest.mark.parametrize("text", ["3AAAA", "hello", "1!!!", "1gA=="])
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
