"""The embedded Kafka: what it keeps, what it grants, what it refuses. The command is in
``test_embedded.py``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker whose path is awkward for class paths, properties files and ASCII locales."""
    directory = tmp_path_factory.mktemp("kafka") / "a b, ş=\\: #1"
    with EmbeddedKafka(directory) as kafka:
        yield kafka


async def create_topic(kafka: EmbeddedKafka, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    answer = await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
    assert answer.topic_errors[0][1] == 0


async def write(kafka: EmbeddedKafka, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topic, value)


async def read(kafka: EmbeddedKafka, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return [(await consumer.getone()).value for _ in range(count)]


async def cluster_id(kafka: EmbeddedKafka) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    described = await admin.describe_cluster()
    await admin.close()
    return str(described["cluster_id"])


async def test_it_has_its_data_after_a_stop_and_after_a_crash(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(tmp_path)
    try:
        kafka.start()
        servers, cluster = kafka.bootstrap_servers, await cluster_id(kafka)
        await create_topic(kafka, "kept")
        await write(kafka, "kept", b"before the stop")
        kafka.stop()
        assert kafka.pid is None

        kafka.start()
        assert kafka.bootstrap_servers == servers
        await write(kafka, "kept", b"before the crash")
        kafka.kill()

        kafka.start()
        assert kafka.bootstrap_servers == servers
        assert await cluster_id(kafka) == cluster
        assert await read(kafka, "kept", 2) == [b"before the stop", b"before the crash"]
    finally:
        kafka.stop()


async def test_topics_are_never_created_by_themselves(running: EmbeddedKafka) -> None:
    servers = running.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, request_timeout_ms=1_000) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send("nobody-made-me", b"")
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        assert "nobody-made-me" not in await consumer.topics()


async def test_transactions_and_groups_work_on_one_broker(running: EmbeddedKafka) -> None:
    await create_topic(running, "transactions")
    servers = running.bootstrap_servers
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="t")
    async with producer, producer.transaction():
        await producer.send_and_wait("transactions", b"committed")
    async with AIOKafkaConsumer(
        "transactions",
        bootstrap_servers=servers,
        group_id="g",
        session_timeout_ms=1_000,
        heartbeat_interval_ms=300,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        assert (await consumer.getone()).value == b"committed"
        await consumer.commit()


@pytest.mark.long
async def test_other_properties_go_before_the_usual_ones(tmp_path: Path) -> None:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    users = {"kafka": "k", "ann": "ş"}
    options = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    jaas = f'{module} required username="kafka" password="k" {options};'
    properties = {
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": jaas,
    }
    with EmbeddedKafka(tmp_path, properties=properties) as kafka:
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username="ann",
            sasl_plain_password=users["ann"],
        ) as consumer:
            assert await consumer.topics() == set()


@pytest.mark.long
def test_it_starts_from_the_archive_of_its_classes(tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    EmbeddedKafka(tmp_path / "recorded").record_classes()
    with EmbeddedKafka(tmp_path / "kafka", java_options=[f"-Xlog:class+load:file={loaded}"]):
        pass
    assert "kafka.Kafka source: shared objects file" in loaded.read_text()
