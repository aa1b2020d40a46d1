"""kill -9 right before and right after each named step; an ordinary node ends the job."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.chaos.kept import Directory, Kept, Objects
from tests.chaos.node import MARK, POINTS, POINTS_ON_OBJECTS, Point, Side, Step
from tests.chaos.oracle import Scene, judge
from tests.chaos.plans import Plan, Style
from tests.support.nodes import NodeProcess, settings_for
from tests.support.object_stores import Bucket
from tests.support.outcomes import events
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

# Two exports of each format go through all steps, so a kill at the second time finds one of them
# ended and others open.
PLANS = [
    Plan("plain", 1, "csv", 400, 4),
    Plan("pdf", 2, "pdf", 120, 3),
    Plan("repeated", 3, "xlsx", 90, 3, Style.REPEATED),
    Plan("twice", 4, "xml", 60, 2, Style.REQUESTED_TWICE, "", "gzip"),
    Plan("gap", 5, "csv", 40, 4, Style.GAP),
    Plan("cancelled", 6, "csv", 40, 2, Style.CANCELLED),
    Plan("invalid", 7, "csv", 10, 1, Style.INVALID),
]
OPEN_PLAN = Plan("open", 8, "csv", 200, 4)

TIMES = {Step.DIRECTORY_SYNC: 1, Step.SEND_OFFSETS: 1, Step.COMMIT: 1}  # once a turn or a commit
SECONDS = 60
# After these something is final; the others are killed at in `make test-long`.
FINAL = {Step.MANIFEST, Step.RENAME, Step.COMMIT}
# Those of a store; the others are the same as in a directory.
OWN = {(Side.AFTER, Step.UPLOAD), (Side.AFTER, Step.MANIFEST)}


async def publish_first(upstream: Upstream) -> None:
    """Everything but the end of one export, interleaved."""
    messages = [list(plan.messages()) for plan in PLANS]
    messages.append(list(OPEN_PLAN.messages())[:3])
    for turn in range(max(map(len, messages))):
        for of_export in messages:
            if turn < len(of_export):
                await upstream.publish(of_export[turn])


async def publish_rest(upstream: Upstream) -> None:
    for message in list(OPEN_PLAN.messages())[3:]:
        await upstream.publish(message)


def last_line(log: Path) -> object:
    return json.loads(log.read_text().splitlines()[-1])


async def until_killed(point: Point, environment: dict[str, str], log: Path) -> None:
    """Run a node until it dies, and see that it died at the point."""
    command = [sys.executable, "-m", "tests.chaos.node", str(point)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(SECONDS):
            while process.poll() is None:
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert last_line(log) == {"event": MARK, "point": str(point)}
    assert process.returncode == -9


@pytest.mark.parametrize("topics", [1], indirect=True)
@pytest.mark.parametrize(
    ("side", "step"),
    [
        pytest.param(
            *point,
            id="-".join(point),
            marks=[pytest.mark.long] * (point[1] not in FINAL),
        )
        for point in POINTS
    ],
)
async def test_a_node_killed_at_a_step(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    tmp_path: Path,
    side: Side,
    step: Step,
) -> None:
    storage = tmp_path / "exports"
    environment = settings_for(bootstrap_servers, topics, storage, SESSION_TIMEOUT_SECONDS=1)
    await publish_first(upstream)
    await until_killed(Point(side, step, TIMES.get(step, 2)), environment, tmp_path / "killed.log")
    await publish_rest(upstream)
    await until_judged(environment, topics, Directory(storage), tmp_path / "node.log")


@pytest.mark.parametrize("topics", [1], indirect=True)
@pytest.mark.parametrize(
    ("side", "step"),
    [
        pytest.param(*point, id="-".join(point), marks=[pytest.mark.long] * (point not in OWN))
        for point in POINTS_ON_OBJECTS
    ],
)
async def test_a_node_on_an_object_store_killed_at_a_step(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    bucket: Bucket,
    tmp_path: Path,
    side: Side,
    step: Step,
) -> None:
    """It never comes back: its successor has another disk."""
    environment = settings_for(
        bootstrap_servers,
        topics,
        Path("unused"),
        SESSION_TIMEOUT_SECONDS=1,
        SCRATCH_DIR=tmp_path / "killed",
    )
    environment |= bucket.environment("group")
    await publish_first(upstream)
    times = 1 if step is Step.ANNOUNCE else TIMES.get(step, 2)
    await until_killed(Point(side, step, times), environment, tmp_path / "killed.log")
    await publish_rest(upstream)
    environment |= {"SLUICE_SCRATCH_DIR": str(tmp_path / "successor")}
    async with NodeProcess(environment, tmp_path / "successor.log") as node:
        servers, count = bootstrap_servers, len(PLANS) + 1
        await events(servers, topics.completions, at_least=count, seconds=SECONDS)
        assert node.terminate() == 0
    # What the dead one uploaded is nobody's once its export is decided: the next sweep has it.
    await until_judged(environment, topics, Objects(bucket, "group"), tmp_path / "node.log")


async def until_judged(environment: dict[str, str], topics: Topics, kept: Kept, log: Path) -> None:
    """A node ends the job, and the judge finds nothing."""
    async with NodeProcess(environment, log) as node:
        plans, servers = [*PLANS, OPEN_PLAN], environment["SLUICE_BOOTSTRAP_SERVERS"]
        await events(servers, topics.completions, at_least=len(plans), seconds=SECONDS)
        scene = Scene(servers, topics, environment["SLUICE_GROUP_ID"], kept, [node.url])
        assert await judge(scene, plans) == []
        assert node.terminate() == 0
