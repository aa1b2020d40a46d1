"""How many requests may be taken, and that none beyond the room is without need."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.admission_limit import MOST_OPEN, Admissible, admission_limit

COUNTS = st.integers(0, MOST_OPEN + 5)


def test_what_there_is_room_for_may_be_taken() -> None:
    assert taken(open_count=0) == Admissible(800)
    assert taken(open_count=799) == Admissible(1)
    assert taken(open_count=800) == Admissible(0)
    assert taken(open_count=950) == Admissible(0), "a search had opened them"


def test_a_takeover_takes_what_was_open_and_no_more_than_there_is_room_for() -> None:
    assert taken(open_count=800, restored_below=2_500) == Admissible(0, free_below=2_500)
    assert taken(open_count=790, restored_below=2_500) == Admissible(10, free_below=2_500)


def test_a_search_takes_some_beyond_the_room_and_one_where_it_may_be_one_too_many() -> None:
    assert taken(open_count=800, searching=True) == Admissible(10)
    assert taken(open_count=995, searching=True) == Admissible(5)
    assert taken(open_count=999, searching=True) == Admissible(1)
    assert taken(open_count=1_000, searching=True) == Admissible(1), (
        "or the batch would wait for ever"
    )
    assert taken(open_count=10, searching=True) == Admissible(790)


@given(open_count=COUNTS, max_open=st.integers(1, MOST_OPEN), searching=st.booleans())
def test_what_is_taken_is_never_one_too_many_but_for_an_owner(
    open_count: int, max_open: int, searching: bool
) -> None:
    most = taken(open_count=open_count, max_open=max_open, searching=searching).most
    if not searching:
        assert most == max(0, max_open - open_count)
    elif open_count + most > max(MOST_OPEN, max_open):
        assert most == 1
    else:
        assert most >= 1


def taken(
    *,
    open_count: int,
    max_open: int = 800,
    searching: bool = False,
    restored_below: int | None = None,
) -> Admissible:
    return admission_limit(
        max_open=max_open,
        open_count=open_count,
        searching=searching,
        restored_below=restored_below,
    )
