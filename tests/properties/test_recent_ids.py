"""The window in which a downstream service recognises copies."""

from hypothesis import given
from hypothesis import strategies as st

from producer.downstream import REMEMBERED_EVENTS, RecentIds


@given(st.lists(st.integers(0, REMEMBERED_EVENTS * 2), max_size=50), st.integers(0, 2_500))
def test_it_knows_exactly_the_latest(first: list[int], then: int) -> None:
    added = [str(number) for number in [*first, *range(then)]]
    recent = RecentIds()
    for event_id in added:
        recent.add(event_id)
    latest = list(dict.fromkeys(reversed(added)))[:REMEMBERED_EVENTS]
    assert {event_id for event_id in added if event_id in recent} == set(latest)
