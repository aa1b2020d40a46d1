import math

import pytest

from acceptance.flatness import course


def series(count: int, rise_a_step: float = 0.0, jitter: float = 0.0) -> list[tuple[float, float]]:
    """Seconds and values: a line, and a wave of a few steps about it."""
    return [(2.0 * n, 80 + n * rise_a_step + jitter * math.sin(n)) for n in range(count)]


def test_what_stays_level_is_flat_however_it_jitters() -> None:
    found = course("memory", "MiB", series(600, jitter=20), most_rise=5)
    assert found.flat
    assert found.per_hour == pytest.approx(0, abs=5)
    assert str(found).startswith("ok   memory: ")


def test_a_steady_rise_is_not_flat_under_jitter_either() -> None:
    found = course("memory", "MiB", series(600, rise_a_step=0.03, jitter=2), most_rise=5)
    assert not found.flat
    assert found.per_hour == pytest.approx(54, abs=5)
    assert str(found).startswith("FAIL memory: ")


def test_warm_up_counts_for_nothing() -> None:
    rising, level = series(100, rise_a_step=1), [(200.0 + n, 180.0) for n in range(400)]
    assert course("memory", "MiB", rising + level, most_rise=0).flat


def test_one_peak_is_no_rise() -> None:
    peaked = series(100)
    peaked[99] = (198.0, 5_000.0)
    found = course("lag", "records", peaked, most_rise=0)
    assert found.flat
    assert found.most == 5_000


def test_what_falls_is_flat() -> None:
    assert course("memory", "MiB", series(100, rise_a_step=-0.5), most_rise=0).flat


def test_few_samples_tell_nothing() -> None:
    with pytest.raises(ValueError, match="9 samples are too few"):
        course("memory", "MiB", series(9), most_rise=5)
