"""The embedded Kafka as real processes: started, restarted, interrupted, killed, refused."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from broker.embedded import EmbeddedKafka
from broker.errors import PortTakenError, ServerError

pytestmark = pytest.mark.kafka

SLUICE = Path(sys.executable).with_name("sluice")
# Any look at the network would fail at once.
UNREACHABLE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
READY_SECONDS = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker whose path is awkward for class paths, properties files and ASCII locales."""
    directory = tmp_path_factory.mktemp("kafka") / "a b, ş=\\: #1"
    with EmbeddedKafka(directory) as kafka:
        yield kafka


@pytest.fixture
def cached() -> None:
    """The jars are in the user's cache."""
    EmbeddedKafka(Path()).prepare()


@contextlib.contextmanager
def sluice_broker(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """``sluice broker`` in a process group of its own, as a shell would start it."""
    process = subprocess.Popen(
        [SLUICE, "broker", *arguments],
        env={**os.environ, "LC_ALL": "C", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def java_below(pid: int) -> int:
    """The pid of the Java process that ``pid`` started, as soon as it runs."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"kafka.Kafka" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.01)
    raise AssertionError("no Java was started")


def ends(pid: int, within_seconds: float = 10) -> bool:
    """Whether the process, which needn't be our child, has ended in that time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with contextlib.closing(os.fdopen(descriptor)):
        return bool(select.select([descriptor], [], [], within_seconds)[0])


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


def test_a_second_one_on_its_directory_is_refused(running: EmbeddedKafka) -> None:
    directory = running.log_path.parent
    log = running.log_path.read_bytes()
    with pytest.raises(ServerError, match="another Kafka runs on the data directory"):
        EmbeddedKafka(directory).start()
    assert running.log_path.read_bytes() == log


def test_a_running_one_is_not_started_again(running: EmbeddedKafka) -> None:
    pid = running.pid
    with pytest.raises(ServerError, match=f"runs already, as process {pid}"):
        running.start()
    assert running.pid == pid


def test_a_picked_port_that_is_lost_is_replaced(tmp_path: Path, cached: None) -> None:
    kafka = EmbeddedKafka(tmp_path)
    thieves: list[socket.socket] = []

    def steal() -> None:
        # The port is known from here on, and Kafka binds it a second later.
        while not (tmp_path / "kafka-logs").exists() or kafka.pid is None:
            time.sleep(0.01)
        host, port = kafka.bootstrap_servers.split(":")
        thieves.append(socket.create_server((host, int(port))))

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        kafka.start()
        thief.join()
        stolen = thieves[0].getsockname()[1]
        assert kafka.bootstrap_servers != f"127.0.0.1:{stolen}"
        with pytest.raises(PortTakenError, match=f"port {stolen} is taken"):
            EmbeddedKafka(tmp_path / "other", stolen).start()
    finally:
        kafka.stop()
        thieves[0].close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_with_0_on_a_signal(
    tmp_path: Path, cached: None, number: signal.Signals
) -> None:
    with sluice_broker("--port", "0", "--data-dir", str(tmp_path), **UNREACHABLE) as process:
        line = first_line(process)
        assert line.startswith("bootstrap.servers=127.0.0.1:")
        java = java_below(process.pid)
        os.killpg(process.pid, number)  # as Ctrl-C does: to all of the terminal's processes
        rest, errors = process.communicate(timeout=15)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert ends(java, within_seconds=0)
    assert (tmp_path / "kafka-logs" / ".kafka_cleanshutdown").exists()


def test_a_signal_during_the_start_ends_the_command_with_0(tmp_path: Path, cached: None) -> None:
    with sluice_broker("--port", "0", "--data-dir", str(tmp_path)) as process:
        java = java_below(process.pid)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=15)
    assert (process.returncode, output, errors) == (0, "", "")
    assert ends(java, within_seconds=0)


def test_kafka_is_killed_with_a_killed_parent(tmp_path: Path, cached: None) -> None:
    with sluice_broker("--port", "0", "--data-dir", str(tmp_path)) as process:
        first_line(process)
        java = java_below(process.pid)
        process.kill()
        assert ends(java)


def test_the_command_fails_when_kafka_dies(tmp_path: Path, cached: None) -> None:
    with sluice_broker("--port", "0", "--data-dir", str(tmp_path)) as process:
        first_line(process)
        os.kill(java_below(process.pid), signal.SIGKILL)
        _, errors = process.communicate(timeout=15)
    log = tmp_path / "kafka.log"
    assert process.returncode == 1
    assert errors == f"sluice: Kafka was killed by SIGKILL; its log is {log}\n"


def test_without_a_network_and_without_a_cache_one_line_says_so(tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = ("--port", "0", "--data-dir", str(tmp_path / "kafka"))
    with sluice_broker(*arguments, **cache, **UNREACHABLE) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert errors.count("\n") == 1
    assert "the Maven repository can't be reached" in errors


def test_a_taken_port_is_named_in_one_line(tmp_path: Path, cached: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with sluice_broker("--port", str(port), "--data-dir", str(tmp_path)) as process:
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        f"sluice: port {port} is taken: another program listens on 127.0.0.1:{port}\n"
    )
