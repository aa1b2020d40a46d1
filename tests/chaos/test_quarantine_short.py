"""Messages of every kind that kill their nodes, among a thousand good exports."""

from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.chaos.quarantine import STYLES, plans_of, run, told

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

GOOD = 1_000


async def test_what_kills_nodes_is_set_aside_and_the_others_complete(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    plans = plans_of(GOOD, len(STYLES))
    outcome = await run(bootstrap_servers, topics, plans, tmp_path, per_second=40)
    assert outcome.violations == [], told(outcome)
    killers = {plan.export_id for plan in plans if plan.weapon}
    assert outcome.deaths.keys() == killers, told(outcome)
    assert set(outcome.deaths.values()) <= {2, 3}, told(outcome)
    assert len(outcome.ends) == 3, told(outcome)
