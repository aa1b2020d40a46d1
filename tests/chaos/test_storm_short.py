"""Short storms: the promise holds, and in the longer one every kind of fault strikes."""

from pathlib import Path

import pytest

from tests.chaos.report import markdown
from tests.chaos.schedule import STORE_DISTURBANCES, Kind, Pace
from tests.chaos.storm import Plot, storm

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PACE = Pace(deaths_seconds=2, disturbances_seconds=1, session_seconds=3)


async def test_some_seconds_of_faults_on_objects_break_nothing(tmp_path: Path) -> None:
    plot = Plot(10, seed=6, unfinished=30, pace=PACE, on_objects=True)
    report = await storm(plot, tmp_path / "storm")
    text = markdown(report)
    assert report.violations == {}, text
    assert sum(report.struck.values()) > 0, text
    assert report.exports >= plot.unfinished, text  # more only on a quick machine


@pytest.mark.long
@pytest.mark.parametrize("on_objects", [False, True])
async def test_a_short_storm_breaks_nothing(tmp_path: Path, on_objects: bool) -> None:
    plot = Plot(400, seed=3, unfinished=30, pace=PACE, until_all_struck=True, on_objects=on_objects)
    report = await storm(plot, tmp_path / "storm")
    text = markdown(report)
    assert report.violations == {}, text
    seen = {kind for kind, count in report.struck.items() if count}
    kinds = {str(kind) for kind in Kind if on_objects or kind not in STORE_DISTURBANCES}
    assert kinds - seen - report.skipped.keys() == set(), text
    assert report.exports > 50, text
