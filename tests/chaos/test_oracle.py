"""The judge itself: what it must find, and what it must let pass. No Kafka needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
    TerminalEvent,
    cloud_event_headers,
    encode_event,
)
from schemas.vocabulary import FailReason, Format
from tests.chaos.faults import Kill
from tests.chaos.kept import Directory
from tests.chaos.node import POINTS, POINTS_ON_OBJECTS, Point, Side, Step
from tests.chaos.oracle import Fault, check_counts, check_events, check_files
from tests.chaos.plans import Plan, Style
from tests.chaos.report import count_steps, recoveries
from tests.chaos.schedule import (
    DEATHS_ON_OBJECTS,
    DISTURBANCES_ON_OBJECTS,
    Kind,
    Pace,
    deaths,
    disturbances,
)

PLANS = {
    plan.export_id: plan
    for plan in (
        Plan("whole", 1, "csv", 30, 3),
        Plan("pages", 2, "pdf", 60, 3),
        Plan("gap", 3, "csv", 30, 3, Style.GAP),
        Plan("unwanted", 4, "csv", 30, 3, Style.CANCELLED),
        Plan("gone", 5, "csv", 30, 3, Style.EXPIRES),
    )
}
AT = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    key: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def ended(plan: Plan, rows: int) -> dict[str, Any]:
    return {
        "export_id": plan.export_id,
        "user": "u",
        "rows": rows,
        "requested_at": AT,
        "started_at": AT,
        "completed_at": AT,
        "duration_ms": 1,
        "source": Source(topic="t", partition=0, offset=plan.number),
    }


def right_event(plan: Plan) -> TerminalEvent:
    if plan.style is Style.GAP:
        about = ended(plan, plan.failed_rows)
        reason = FailReason.SEQUENCE_GAP
        return ExportFailed(format=Format.CSV, reason=reason, message="m", **about)
    if plan.style is Style.CANCELLED:
        return ExportCancelled(format=Format.CSV, message="m", **ended(plan, 3))
    return ExportCompleted(
        format=Format(plan.format),
        location="file:///x",
        bytes=plan.expected.size_bytes,
        sha256=plan.expected.sha256,
        expires_at=AT if plan.style is Style.EXPIRES else None,
        **ended(plan, plan.rows),
    )


@pytest.fixture
def events() -> dict[str, TerminalEvent]:
    return {name: right_event(plan) for name, plan in PLANS.items()}


@pytest.fixture
def storage(tmp_path: Path, events: Mapping[str, TerminalEvent]) -> Path:
    """As an undisturbed run leaves it."""
    for name, event in events.items():
        (tmp_path / f"{name}.manifest.json").write_bytes(encode_event(event) + b"\n")
        if isinstance(event, ExportCompleted) and not event.expires_at:
            (tmp_path / f"{name}.{event.extension}").write_bytes(PLANS[name].file())
    return tmp_path


def record(event: TerminalEvent) -> Record:
    return Record(event.export_id.encode(), cloud_event_headers(event))


def test_what_is_right_passes(storage: Path, events: dict[str, TerminalEvent]) -> None:
    found = [record(event) for event in events.values()]
    assert list(check_counts(found, PLANS)) == []
    assert list(check_events(events, PLANS)) == []
    assert list(check_files(Directory(storage), events, PLANS)) == []


def test_lost_doubled_and_unknown_events_are_found(events: dict[str, TerminalEvent]) -> None:
    records = [record(event) for event in events.values()]
    assert [it.fault for it in check_counts(records[1:], PLANS)] == [Fault.LOST]
    twice = [*records, records[0]]
    assert [it.fault for it in check_counts(twice, PLANS)] == [Fault.DOUBLED, Fault.DOUBLED]
    stranger = [*records, Record(b"nobody", [("ce_id", b"1")])]
    assert [it.fault for it in check_counts(stranger, PLANS)] == [Fault.UNKNOWN]


@pytest.mark.parametrize(("export_id", "changes"), [("whole", {"rows": 29}), ("gap", {"rows": 20})])
def test_wrong_rows_are_found(
    events: dict[str, TerminalEvent], export_id: str, changes: dict[str, Any]
) -> None:
    events[export_id] = events[export_id].model_copy(update=changes)
    assert [it.fault for it in check_events(events, PLANS)] == [Fault.WRONG_END]


@pytest.mark.parametrize(("export_id", "expires_at"), [("gone", None), ("whole", AT)])
def test_what_expires_wrongly_is_found(
    events: dict[str, TerminalEvent], export_id: str, expires_at: datetime | None
) -> None:
    events[export_id] = events[export_id].model_copy(update={"expires_at": expires_at})
    assert [it.fault for it in check_events(events, PLANS)] == [Fault.WRONG_END]


def test_a_wrong_end_is_found(events: dict[str, TerminalEvent]) -> None:
    events["unwanted"] = events["whole"].model_copy(update={"export_id": "unwanted"})
    assert [it.fault for it in check_events(events, PLANS)] == [Fault.WRONG_END]


@pytest.mark.parametrize(
    ("name", "content", "faults"),
    [
        ("whole.csv", b"other", [Fault.WRONG_BYTES, Fault.WRONG_BYTES]),
        ("whole.csv", None, [Fault.LOST]),
        ("gap.manifest.json", b"{}", [Fault.MANIFEST]),
        ("gap.manifest.json", None, [Fault.MANIFEST]),
        ("gap.csv", b"", [Fault.STRAY]),
        ("gone.csv", b"", [Fault.STRAY]),
        (".parts/3/whole.csv.x-1", b"", [Fault.STRAY]),
        (".parts/probe/x", b"", [Fault.STRAY]),
    ],
)
def test_wrong_files_are_found(
    storage: Path,
    events: dict[str, TerminalEvent],
    name: str,
    content: bytes | None,
    faults: list[Fault],
) -> None:
    path = storage / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert [it.fault for it in check_files(Directory(storage), events, PLANS)] == faults


def test_a_seed_makes_a_schedule_with_every_kind() -> None:
    pace = Pace(2, 8, 3)
    one, same, other = (list(islice(deaths(seed, 3, pace, POINTS), 100)) for seed in (1, 1, 2))
    assert one == same != other
    around = list(islice(disturbances(1, 3, pace, DISTURBANCES_ON_OBJECTS), 100))
    assert around == list(islice(disturbances(1, 3, pace, DISTURBANCES_ON_OBJECTS), 100))
    assert {strike.kind for strike in [*one, *around]} == set(Kind)


def test_each_step_is_tried_as_often_as_any_other() -> None:
    strikes = deaths(7, 3, Pace(2, 8, 3), POINTS_ON_OBJECTS, DEATHS_ON_OBJECTS)
    at_steps = (str(strike.point) for strike in strikes if strike.point)
    tried = list(islice(at_steps, 4 * len(POINTS_ON_OBJECTS)))
    assert set(count_steps(tried, POINTS_ON_OBJECTS).values()) == {4}


def test_a_step_at_which_none_died_counts_as_0() -> None:
    points = [(Side.BEFORE, Step.UPLOAD), (Side.AFTER, Step.UPLOAD)]
    died = ["before-upload:1", "before-upload:3"]
    assert count_steps(died, points) == {"before-upload": 2, "after-upload": 0}


def test_a_point_reads_as_it_is_written() -> None:
    for side, step in [*POINTS, *POINTS_ON_OBJECTS]:
        point = Point(side, step, 3)
        assert Point.parse(str(point)) == point


def test_only_an_undisturbed_recovery_counts() -> None:
    kill = Kill(100.0, frozenset({1, 2}))
    taken = {1: [50.0, 102.0], 2: [103.5, 110.0]}
    assert recoveries([kill], taken, [100.0, 104.0]) == [3.5]
    assert recoveries([kill], taken, [103.0]) == []
    assert recoveries([kill], {1: [102.0]}, []) == []
