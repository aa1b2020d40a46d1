"""Fixtures that every test may ask for: real servers for the session, fresh topics and
buckets for a test.
"""

import gc
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, settings

from broker.embedded import EmbeddedKafka
from broker.store import EmbeddedStore
from schemas.topics import Topics
from tests.support.kafka import SERVERS, kafka_for_tests
from tests.support.nodes import NodeProcess
from tests.support.object_stores import Bucket, bucket_of
from tests.support.topics import PARTITIONS, created_topics
from tests.support.upstream import Upstream

TESTS = Path(__file__).parent
# Their tests all have one of the marks that `make check` leaves out; the Makefile names them too.
MARKED = {"hostile", "integration", "page"}
MARKS = {"kafka", "slow", "long"}
_CONTROL = re.compile(rb"[^\t\n\r\x20-\xff]")
NodeProcess.forks = True
# On a machine that does other things too, a slow moment fails no property.
settings.register_profile(
    "short", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("short"), max_examples=100)
settings.load_profile("short")  # unless pytest's --hypothesis-profile names another


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests."""
    parser.addoption("--one-kafka", action="store_true", help="one Kafka for all workers of xdist")


def pytest_configure(config: pytest.Config) -> None:
    """Start the Kafka that all workers get; they inherit the environment."""
    if config.getoption("one_kafka") and not hasattr(config, "workerinput"):
        kafka, directory = ExitStack(), tempfile.mkdtemp(prefix="sluice-kafka-")
        config.add_cleanup(kafka.close)
        kafka.callback(shutil.rmtree, directory, ignore_errors=True)
        os.environ[SERVERS] = kafka.enter_context(kafka_for_tests(Path(directory)))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes with control characters by their argument; pytest numbers them.

    What gzip or another packer makes may differ from process to process, and then xdist's workers
    collect different tests and the whole run ends.
    """
    return argname if isinstance(val, bytes) and _CONTROL.search(val) else None


def pytest_collection() -> None:
    """Collect no garbage while all modules are imported: it is hardly any, and looked for often."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of all garbage collections from now on.

    It is millions of objects: with them a full collection takes 0.15 s, wherever it strikes.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no server is not here, as `make check` doesn't even import it."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in MARKED and not MARKS & {mark.name for mark in item.iter_markers()}:
            raise pytest.UsageError(f"{item.nodeid}: all of {folder} needs one of {sorted(MARKS)}")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a Kafka that lives as long as the session."""
    with kafka_for_tests(tmp_path_factory.mktemp("kafka")) as servers:
        yield servers


@pytest.fixture(scope="session")
def _mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("mortal"))
    yield kafka
    kafka.kill()


@pytest.fixture
def mortal_kafka(_mortal_kafka: EmbeddedKafka) -> Iterator[EmbeddedKafka]:
    """A Kafka for a test that kills or freezes it; the next one finds it running again.

    It is to be started and spawned in the main thread, so that it outlives the test.
    """
    if _mortal_kafka.pid is None:
        _mortal_kafka.start()
    yield _mortal_kafka
    if _mortal_kafka.pid is not None:
        os.kill(_mortal_kafka.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """An S3 server that lives as long as the session."""
    with EmbeddedStore(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def bucket(object_store: EmbeddedStore) -> Bucket:
    """An empty bucket of it."""
    return bucket_of(object_store)


@pytest.fixture
async def topics(request: pytest.FixtureRequest, bootstrap_servers: str) -> AsyncIterator[Topics]:
    """Four fresh topics of 4 partitions.

    ``@pytest.mark.parametrize("topics", [1], indirect=True)`` asks for another number of them.
    """
    async with created_topics(bootstrap_servers, getattr(request, "param", PARTITIONS)) as topics:
        yield topics


@pytest.fixture
async def upstream(bootstrap_servers: str, topics: Topics) -> AsyncIterator[Upstream]:
    """An upstream service of the test's topics."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=1)
    await producer.start()
    yield Upstream(producer, topics)
    await producer.stop()
