"""Messages that kill their nodes, among good exports; in the long form of every kind, and many."""

from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.chaos.quarantine import STYLES, Outcome, plans_of, report, run

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_what_kills_nodes_is_set_aside_and_the_others_complete(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    outcome = await storm(bootstrap_servers, topics, tmp_path, good=100, killers=4)
    assert len(outcome.ends) == 3, report(outcome)  # by itself, for its silence, for its memory


@pytest.mark.long
async def test_hundreds_of_good_exports_complete_beside_killers_of_every_kind(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    await storm(bootstrap_servers, topics, tmp_path, good=300, killers=len(STYLES))


async def storm(
    servers: str, topics: Topics, directory: Path, *, good: int, killers: int
) -> Outcome:
    plans = plans_of(good, killers)
    outcome = await run(servers, topics, plans, directory, per_second=40)
    assert outcome.violations == [], report(outcome)
    assert outcome.deaths.keys() == {plan.export_id for plan in plans if plan.weapon}
    assert set(outcome.deaths.values()) <= {2, 3}, report(outcome)
    return outcome
