"""Upstream's client on a Kafka that is killed, frozen, locked, or too obliging."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedKafka
from clients.errors import ClientError
from clients.send_window import WINDOW_MESSAGES
from clients.topics import partition_counts
from producer.publisher import ExportPublisher
from producer.seed.scenarios import Scenario
from schemas.records import decode_batch
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.nodes import SLUICE, settings_for
from tests.support.outcomes import committed
from tests.support.topics import created_topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TOPICS = Topics.named()
SCENARIO = Scenario(Format.CSV, 200_000)
_PASSWORDS = 'username="node" password="n" user_node="n" user_alice="right"'
_LOCKED = {
    "auto.create.topics.enable": "true",
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.clients.plain.sasl.jaas.config": (
        f"org.apache.kafka.common.security.plain.PlainLoginModule required {_PASSWORDS};"
    ),
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker that wants a password, and creates any topic that is named."""
    with EmbeddedKafka(tmp_path_factory.mktemp("locked"), properties=_LOCKED) as kafka:
        yield kafka


def as_alice(password: str) -> dict[str, str]:
    return {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISM": "PLAIN",
        "SASL_USERNAME": "alice",
        "SASL_PASSWORD": password,
    }


async def test_a_killed_and_restarted_broker_has_each_batch_once_in_order(
    mortal_kafka: EmbeddedKafka,
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with created_topics(servers, 3) as topics:
        rows = SCENARIO.rows()
        publisher = ExportPublisher(topics, bootstrap_servers=servers)
        async with publisher, publisher.export(SCENARIO.request()) as export:
            await export.send([next(rows) for _ in range(20_000)])
            kafka.kill()  # with messages on their way
            rest = asyncio.create_task(export.send(rows))
            await asyncio.sleep(0.5)  # so that it meets a closed port
            kafka.spawn()
            await asyncio.to_thread(kafka.wait_ready)
            await rest
        records = await committed(servers, topics.records, at_least=200)
    batches = [decode_batch(record.value) for record in records]
    assert [batch.seq for batch in batches] == list(range(len(batches)))
    assert [row for batch in batches for row in batch.rows] == list(SCENARIO.rows())
    assert batches[-1].last


async def test_a_frozen_broker_is_given_up_with_a_bounded_backlog(
    mortal_kafka: EmbeddedKafka,
) -> None:
    kafka, servers, taken = mortal_kafka, mortal_kafka.bootstrap_servers, 0

    async def publish() -> None:
        nonlocal taken
        publisher = ExportPublisher(topics, delivery_timeout_seconds=3, bootstrap_servers=servers)
        async with publisher, publisher.export(SCENARIO.request()) as export:
            assert kafka.pid
            os.kill(kafka.pid, signal.SIGSTOP)
            for row in SCENARIO.rows():
                await export.send([row])
                taken += 1

    async with created_topics(servers, 3) as topics:
        words = r"acknowledges nothing within 3 s; .* can't be cancel"
        async with asyncio.timeout(30):
            with pytest.raises(ClientError, match=words):
                await publish()
        assert kafka.pid
        os.kill(kafka.pid, signal.SIGCONT)
    assert taken <= WINDOW_MESSAGES


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (as_alice("wrong"), "it refuses SLUICE_SASL_USERNAME with SLUICE_SASL_PASSWORD"),
        pytest.param(
            as_alice("right") | {"SASL_MECHANISM": "SCRAM-SHA-256"},
            "SLUICE_SASL_MECHANISM SCRAM",
            marks=pytest.mark.long,
        ),
        pytest.param({}, "is SLUICE_SECURITY_PROTOCOL right?", marks=pytest.mark.long),
    ],
)
def test_a_refused_login_is_one_line(
    locked: EmbeddedKafka, tmp_path: Path, login: dict[str, str], words: str
) -> None:
    for arguments in (["watch"], ["seed", "--batch"], ["topics", "create"]):
        done = sluice(locked, tmp_path, login, *arguments)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"sluice: Kafka at {locked.bootstrap_servers} can't be used: ")
        assert words in line


async def test_no_command_has_a_broker_create_topics(locked: EmbeddedKafka, tmp_path: Path) -> None:
    login = as_alice("right")
    orders = tmp_path / "orders.csv"
    orders.write_text("n\n1\n")
    for arguments in (
        ["watch"],
        ["seed", "--batch", "--wait"],
        ["submit", str(orders), "--format", "csv"],
    ):
        done = sluice(locked, tmp_path, login, *arguments)
        assert done.returncode == 1
        assert "no such topic: export." in done.stderr
    options = {f"{name.lower().replace('sasl_u', 'sasl_plain_u')}": v for name, v in login.items()}
    options["sasl_plain_password"] = options.pop("sasl_password")
    found = await partition_counts(
        ["export.requests", "export.records", "export.completions"],
        bootstrap_servers=locked.bootstrap_servers,
        **options,
    )
    assert found == {}


def test_a_right_login_creates_topics_and_publishes(locked: EmbeddedKafka, tmp_path: Path) -> None:
    login = as_alice("right") | {"TOPIC_PREFIX": "right"}
    assert sluice(locked, tmp_path, login, "topics", "create").returncode == 0
    done = sluice(locked, tmp_path, login, "seed", "--records", "10", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("seed-csv-10-")


def sluice(
    kafka: EmbeddedKafka, storage: Path, more: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLUICE, *arguments],
        env=settings_for(kafka.bootstrap_servers, TOPICS, storage, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
