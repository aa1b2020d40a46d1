"""The health of a lane: which reason is shown, and until when."""

from consumer.lanes.health import WORKING, Health, HealthKind

STOPPED = Health(HealthKind.STOPPED, "the topic was cut")


def test_the_last_failure_is_shown() -> None:
    health = WORKING.failing("the storage refuses").failing("events wait")
    assert health == Health(HealthKind.FAILING, "events wait")


def test_a_failure_does_not_hide_why_the_lane_stopped() -> None:
    assert STOPPED.failing("no broker answers") == STOPPED


def test_a_stopped_lane_works_once_it_has_loaded_and_one_that_failed_not_yet() -> None:
    assert STOPPED.taken_over() == WORKING
    failing = WORKING.failing("loaded 3 times in a row")
    assert failing.taken_over() == failing
