"""Messages that kill their nodes among good exports: ``python -m tests.chaos.quarantine``.

Three nodes under a small platform that restarts them. The good exports complete, each killer ends
typed after two deaths, and nothing waits for a person.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from schemas.completions import ExportFailed, TerminalEvent, decode_event
from schemas.topics import Topics
from tests.chaos.kept import Directory
from tests.chaos.killers import Weapon
from tests.chaos.oracle import (
    Fault,
    Scene,
    Violation,
    check_counts,
    check_events,
    check_files,
    check_group,
)
from tests.chaos.plans import Plan, Style
from tests.chaos.platform import Platform
from tests.support.nodes import settings_for
from tests.support.outcomes import committed, headers

NODES = 3
MOST_BYTES = 400 * 1024 * 1024
_SETTLE_SECONDS = 180.0
STYLES = (
    *((Style.KILLS, weapon) for weapon in Weapon),
    (Style.REQUEST_KILLS, Weapon.KILL),
    (Style.STRAY_KILLS, Weapon.KILL),
    (Style.REQUEST_KILLS, Weapon.STOP),
)


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    seconds: float
    exports: int
    deaths: Counter[str]
    ends: Counter[str]
    violations: list[Violation]


def plans_of(good: int, killers: int, seed: int = 1) -> list[Plan]:
    """Good exports, and killers among them in the order of their numbers."""
    chance = random.Random(seed)
    places = set(chance.sample(range(good + killers), killers))
    styles = itertools.cycle(STYLES)
    plans = []
    for number in range(good + killers):
        if number in places:
            style, weapon = next(styles)
            plans.append(Plan(f"killer-{number}", number, "csv", 30, 3, style, weapon.value))
        else:
            plans.append(Plan(f"good-{number}", number, "csv", chance.randint(10, 300), 3))
    return plans


async def run(
    servers: str, topics: Topics, plans: Sequence[Plan], directory: Path, per_second: float
) -> Outcome:
    """Publish the plans, let nodes die, and judge what is left."""
    environment = settings_for(
        servers,
        topics,
        directory / "exports",
        SESSION_TIMEOUT_SECONDS=2,
        DRAIN_TIMEOUT_SECONDS=1,
    )
    platform = Platform(environment, directory, NODES, MOST_BYTES)
    begun = time.monotonic()
    keeping = asyncio.create_task(platform.run())
    try:
        await _publish(servers, topics, plans, per_second)
        violations = await _judge(servers, topics, environment, directory, plans)
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        platform.kill()
    deaths = platform.deaths()
    for export_id, count in deaths.items():
        if count > 3:  # two, and one of an owner that was fenced already
            violations.append(Violation(Fault.NODE, f"{count} nodes died on {export_id}"))
    return Outcome(time.monotonic() - begun, len(plans), deaths, platform.ends, violations)


async def _publish(servers: str, topics: Topics, plans: Sequence[Plan], per_second: float) -> None:
    """So many exports a second; each with its messages one after the other."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=2)
    await producer.start()
    try:
        async with asyncio.TaskGroup() as exports:
            for plan in plans:
                exports.create_task(_export(producer, topics, plan))
                await asyncio.sleep(1 / per_second)
    finally:
        await producer.stop()


async def _export(producer: AIOKafkaProducer, topics: Topics, plan: Plan) -> None:
    partition: int | None = None
    for message in plan.messages():
        topic = topics.requests if "type" in message else topics.records
        key: bytes | None = message["export_id"].encode()
        if plan.style is Style.STRAY_KILLS and plan.weapon in str(message.get("rows")):
            key = None
        value = json.dumps(message).encode()
        sent = await producer.send_and_wait(topic, value, key=key, partition=partition)
        partition = sent.partition


async def _judge(
    servers: str,
    topics: Topics,
    environment: dict[str, str],
    directory: Path,
    plans: Sequence[Plan],
) -> list[Violation]:
    with contextlib.suppress(AssertionError):  # what is missing is named below
        await committed(servers, topics.completions, at_least=len(plans), seconds=_SETTLE_SECONDS)
    found = await committed(servers, topics.completions)
    letters = await committed(servers, topics.dead_letters)
    events = {record.key.decode(): decode_event(record.value) for record in found}
    by_id = {plan.export_id: plan for plan in plans}
    kept = Directory(directory / "exports")
    scene = Scene(servers, topics, environment["SLUICE_GROUP_ID"], kept, [])
    strays = sum(plan.style is Style.STRAY_KILLS for plan in plans)
    return [
        *check_counts(found, by_id),
        *check_events(events, by_id),
        *check_files(scene.storage, events, by_id),
        *_check_letters(letters, strays),
        *_check_messages(events, by_id),
        *await check_group(scene),
    ]


def _check_letters(letters: Sequence[Any], strays: int) -> list[Violation]:
    reasons = Counter(headers(letter)["sluice_reason"] for letter in letters)
    if reasons == Counter({"node_killer": strays} if strays else {}):
        return []
    return [Violation(Fault.DEAD_LETTER, f"{dict(reasons)}, and {strays} were to be there")]


def _check_messages(events: dict[str, TerminalEvent], plans: dict[str, Plan]) -> list[Violation]:
    """A killer's event says what it was that nodes died on."""
    wrong = [
        event
        for export_id, event in events.items()
        if plans[export_id].style in (Style.KILLS, Style.REQUEST_KILLS)
        and not (isinstance(event, ExportFailed) and "nodes died twice on" in event.message)
    ]
    return [Violation(Fault.WRONG_END, str(event)) for event in wrong]


def report(outcome: Outcome) -> str:
    """The outcome in lines."""
    lines = [
        f"{outcome.exports} exports in {outcome.seconds:.0f} s",
        f"killers, by how many nodes died on each: {dict(Counter(outcome.deaths.values()))}",
        *(f"{why}: {count}" for why, count in outcome.ends.items()),
        *(str(violation)[:500] for violation in outcome.violations),
        f"{len(outcome.violations)} violations",
    ]
    return "\n".join(lines)


async def _main(good: int, killers: int, seed: int, per_second: float, keep: Path | None) -> int:
    topics = Topics.named("quarantine")
    with tempfile.TemporaryDirectory(prefix="sluice-quarantine-") as place:
        directory = keep or Path(place)
        directory.mkdir(parents=True, exist_ok=True)
        with EmbeddedKafka(directory / "kafka") as kafka:
            servers = kafka.bootstrap_servers
            await create_topics(
                topics, partitions=12, replication_factor=1, bootstrap_servers=servers
            )
            plans = plans_of(good, killers, seed)
            outcome = await run(servers, topics, plans, directory, per_second)
    print(report(outcome))
    return 1 if outcome.violations else 0


def main() -> int:
    """Run it; 1 on any violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.quarantine", description=__doc__)
    parser.add_argument("--good", type=int, default=1000)
    parser.add_argument("--killers", type=int, default=21)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-second", type=float, default=20)
    parser.add_argument("--keep", type=Path, help="a directory for logs, which are kept there")
    given = parser.parse_args()
    return asyncio.run(_main(given.good, given.killers, given.seed, given.per_second, given.keep))


if __name__ == "__main__":
    sys.exit(main())
