"""Lists of exports: their order, pages, filters, and what is kept of those that ended."""

import random
import time
from datetime import UTC, datetime

import pytest

from consumer.core.listing import EndedExports, ListedExport, Position, Wanted, known_title, page
from schemas.times import format_time, to_millis
from tests.support.listing import ended_export

ALL = Wanted()


def many(count: int, most: int = 10_000) -> EndedExports:
    """So many ended exports, requested one a second, published in another order."""
    ended, numbers = EndedExports(most), list(range(count))
    random.Random(7).shuffle(numbers)
    for number in numbers:
        ended.put(ended_export(f"e-{number:05}", number * 1000), number * 1000 + 500)
    return ended


def ids(found: list[ListedExport]) -> list[str]:
    return [one.export_id for one in found]


def test_pages_are_all_exports_once_and_newest_first() -> None:
    ended = many(1000)
    seen, before = [], None
    while True:
        found, before = page(ended, [], ALL, 64, before)
        seen += ids(found)
        if before is None:
            break
        before = Position.decode(before.encode())
    assert seen == [f"e-{number:05}" for number in reversed(range(1000))]


def test_an_export_that_comes_or_ends_between_pages_moves_no_other() -> None:
    ended = many(10)
    opened = [ended_export("open", 4_500, state="queued")]
    first, before = page(ended, opened, ALL, 5)
    assert ids(first) == ["e-00009", "e-00008", "e-00007", "e-00006", "e-00005"]
    ended.put(ended_export("open", 4_500), 99_000)
    ended.put(ended_export("new", 99_000), 99_000)
    second, _ = page(ended, [], ALL, 3, before)
    assert ids(second) == ["open", "e-00004", "e-00003"]


def test_an_export_whose_end_is_not_in_the_commits_yet_is_listed_once_as_ended() -> None:
    found, _ = page(many(1), [ended_export("e-00000", 0, state="running")], ALL, 5)
    assert [one.state for one in found] == ["completed"]


def test_the_last_page_has_no_next() -> None:
    assert page(many(5), [], ALL, 5)[1] is None
    assert page(many(6), [], ALL, 5)[1] is not None
    assert page(EndedExports(), [], ALL, 5) == ([], None)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(state="failed"), ["b"]),
        (Wanted(user="bob"), ["c"]),
        (Wanted(format="pdf"), ["c"]),
        (Wanted(text="ORDERS"), ["c"]),
        (Wanted(text="B"), ["b"]),
        (Wanted(text="straSSE"), ["a"]),
        (Wanted(state="completed", user="alice"), ["a"]),
        (Wanted(state="queued"), ["d"]),
        (Wanted(text="nothing"), []),
    ],
)
def test_filters(wanted: Wanted, found: list[str]) -> None:
    ended = EndedExports()
    ended.put(ended_export("a", 1, title="Straße"), 1)
    ended.put(ended_export("b", 2, state="failed"), 2)
    ended.put(ended_export("c", 3, user="bob", format="pdf", title="All orders"), 3)
    assert ids(page(ended, [ended_export("d", 4, state="queued")], wanted, 10)[0]) == found


def test_what_was_published_longest_ago_goes() -> None:
    ended = many(30, most=10)
    assert ids(list(ended.newest())) == [f"e-{number:05}" for number in range(29, 19, -1)]
    assert ended.oldest_ms == 20_500
    ended.put(ended_export("e-00020", 20_000), 50_000)
    ended.put(ended_export("new", 99_000), 51_000)
    assert "e-00020" in ended
    assert "e-00021" not in ended
    assert len(ended) == 10
    assert ended.oldest_ms == 22_500


def test_an_event_that_is_read_again_changes_nothing() -> None:
    ended = many(3)
    ended.name("e-00001", "a title")
    ended.put(ended_export("e-00001", 1000), 1500)
    found = list(ended.newest())
    assert ids(found) == ["e-00002", "e-00001", "e-00000"]
    assert found[1].title == "a title"


@pytest.mark.parametrize("text", ["", "~", "x~a", "1", "--1~a", "-~a", "²~a", "1" * 16 + "~a"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the next"):
        Position.decode(text)


def test_a_long_title_is_cut() -> None:
    assert known_title({"title": "x" * 200}) == "x" * 200
    assert known_title({"title": "x" * 201}) == "x" * 199 + "…"
    assert [known_title(sent) for sent in ({}, {"title": 7}, {"title": ""})] == [None] * 3
    assert known_title({"title": "x" * 1001}) is None, "its request is invalid"


def test_a_page_of_ten_thousand_takes_little() -> None:
    ended = many(10_000)
    began = time.process_time()
    for _ in range(10):
        page(ended, [], Wanted(text="e-0000"), 200)
    assert (time.process_time() - began) / 10 < 0.05


@pytest.mark.parametrize("year", [1, 1960, 1970, 9999])
def test_a_page_goes_on_from_an_export_of_any_year(year: int) -> None:
    moment = datetime(year, 1, 1, tzinfo=UTC)
    one = ended_export("odd", to_millis(moment))
    assert Position.decode(one.position.encode()) == one.position
    assert one.fields(0)["requested_at"] == format_time(moment)
