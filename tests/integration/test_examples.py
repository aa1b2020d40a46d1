"""The examples of docs/examples as a reader runs them: on a real Kafka, with a real node."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner

from broker.jars import class_path, locked_kafka
from schemas.topics import Topics
from tests.support.client_wheel import build_client_wheel
from tests.support.nodes import NodeProcess, node_on, settings_for
from tests.support.npm import node_modules, require_tool
from tests.support.outcomes import committed, headers
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
_SECONDS = 60.0
_BUILD_SECONDS = 200.0
_ORDERS = b"id,Amount (EUR)\r\n" + b"".join(b"%d,12.50\r\n" % n for n in range(1000))


@pytest.fixture
async def node(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> AsyncIterator[NodeProcess]:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        yield node


@pytest.fixture
def environment(bootstrap_servers: str, topics: Topics, tmp_path: Path) -> dict[str, str]:
    """What a reader sets: where Kafka is, and here the names of the test's topics."""
    return settings_for(bootstrap_servers, topics, tmp_path / "exports")


@pytest.fixture
def javascript(tmp_path: Path) -> Path:
    """The example in Node with its packages, as ``npm install`` leaves it."""
    package = json.loads((EXAMPLES / "node" / "package.json").read_text("utf-8"))
    modules = node_modules(package["dependencies"])
    directory = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", directory, ignore=shutil.ignore_patterns("node_modules"))
    (directory / "node_modules").symlink_to(modules)
    return directory


def run(environment: dict[str, str], *command: str | Path) -> str:
    """What a program prints; it has to succeed. (kafkajs complains of errors that it retries.)"""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Follower:
    """A program that runs until it is stopped, and what it has printed."""

    def __init__(self, environment: dict[str, str], output: Path, *command: str | Path) -> None:
        self._output = output
        with output.open("ab") as both:
            self.process = subprocess.Popen(command, env=environment, stdout=both, stderr=both)

    @property
    def lines(self) -> list[str]:
        return self._output.read_text().splitlines()

    async def until(self, lines: int) -> list[str]:
        async with asyncio.timeout(_SECONDS):
            while len(self.lines) < lines:
                assert self.process.poll() is None, self.lines
                await asyncio.sleep(0.1)
        return self.lines

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)


@contextmanager
def following(
    environment: dict[str, str], output: Path, *command: str | Path
) -> Iterator[Follower]:
    follower = Follower(environment, output, *command)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()


def ordered(printed: str) -> str:
    """The id that an upstream example says it has sent."""
    found = re.fullmatch(r"(orders-[0-9a-f]{8}): 1000 rows sent\n", printed)
    assert found, printed
    return found[1]


async def follow_two(
    upstream: tuple[str | Path, ...],
    downstream: tuple[str | Path, ...],
    environment: dict[str, str],
    directory: Path,
    *,
    terminated: int = 0,
) -> None:
    """Two exports, with a restart of downstream between them: each is printed once."""
    expected = []
    for number in range(2):
        export_id = ordered(run(environment, *upstream))
        path = directory / "exports" / f"{export_id}.csv"
        expected.append(f"{export_id}: 1000 rows in {path.as_uri()}")
        with following(environment, directory / "downstream.log", *downstream) as follower:
            assert await follower.until(number + 1) == expected
            assert path.read_bytes() == _ORDERS
            assert follower.terminate() == terminated
            assert follower.lines == expected


async def test_python(node: NodeProcess, environment: dict[str, str], tmp_path: Path) -> None:
    upstream = (sys.executable, EXAMPLES / "upstream.py")
    downstream = (sys.executable, EXAMPLES / "downstream.py")
    await follow_two(upstream, downstream, environment, tmp_path)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment with the wheel ``sluice-client`` and nothing else."""
    directory = tmp_path_factory.mktemp("bare")
    wheel = build_client_wheel(directory)
    venv.create(directory / "venv", with_pip=True)
    python = directory / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*map(str, pip), str(wheel)], check=True)
    return python


@pytest.mark.long  # what it installs comes from the network
async def test_python_with_the_wheel_alone(
    bare_python: Path, node: NodeProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    upstream, downstream = ((bare_python, EXAMPLES / f"{way}stream.py") for way in ("up", "down"))
    await follow_two(upstream, downstream, environment, tmp_path)
    roots = ("sluice", "schemas", "producer", "clients")
    found = f"import importlib.util as u; print(*filter(u.find_spec, {roots}))"
    assert run(environment, bare_python, "-I", "-c", found) == "\n"


async def test_node_with_kafkajs(
    javascript: Path, node: NodeProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    upstream, downstream = (("node", javascript / f"{way}stream.js") for way in ("up", "down"))
    await follow_two(upstream, downstream, environment, tmp_path)


@pytest.mark.long  # franz-go takes a minute to compile
async def test_go_with_franz_go(
    node: NodeProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    require_tool("go")
    build = ("go", "build", "-C", EXAMPLES / "go", "-o", f"{tmp_path}/", "./...")
    subprocess.run(build, check=True, timeout=_BUILD_SECONDS)
    await follow_two((tmp_path / "upstream",), (tmp_path / "downstream",), environment, tmp_path)


@pytest.mark.long
async def test_java_with_kafka_clients(
    node: NodeProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    require_tool("java", "javac")
    kafka = locked_kafka()
    jars = class_path(kafka, kafka.cache_directory())
    java = ("java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars)
    upstream, downstream = (
        (*java, EXAMPLES / "java" / f"{way}stream.java") for way in ("Up", "Down")
    )
    # What a JVM ends with after SIGTERM, whatever its hooks have done.
    await follow_two(upstream, downstream, environment, tmp_path, terminated=143)


async def test_java_is_given_the_kafka_that_is_embedded() -> None:
    pom = (EXAMPLES / "java" / "pom.xml").read_text("utf-8")
    versions = re.findall(r"<artifactId>(.+)</artifactId>\s+<version>(.+)</version>", pom)
    names = {jar.name for jar in locked_kafka().jars}
    assert {f"{name}-{version}.jar" for name, version in versions[1:]} <= names


async def test_both_tell_of_a_failure_and_of_each_others_exports(
    javascript: Path,
    node: NodeProcess,
    environment: dict[str, str],
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    await upstream.request("broken", format="xls")
    ours = ordered(run(environment, "node", javascript / "upstream.js"))
    theirs = ordered(run(environment, sys.executable, EXAMPLES / "upstream.py"))
    printed = []
    for number, command in enumerate(
        ((sys.executable, EXAMPLES / "downstream.py"), ("node", javascript / "downstream.js"))
    ):
        with following(environment, tmp_path / f"{number}.log", *command) as follower:
            printed.append(sorted(await follower.until(3)))
    assert printed[0] == printed[1]
    assert printed[0][0].startswith("broken: export.failed, format: must be ")
    assert {line.partition(":")[0] for line in printed[0]} == {"broken", ours, theirs}


async def test_kafkajs_and_ours_choose_the_same_partition(
    javascript: Path, bootstrap_servers: str, topics: Topics, environment: dict[str, str]
) -> None:
    """So that both kinds of producer may share a pair of topics, and either may cancel."""
    ordered(run(environment, "node", javascript / "upstream.js"))
    requests = await committed(bootstrap_servers, topics.requests, at_least=1)
    records = await committed(bootstrap_servers, topics.records, at_least=11)
    ((export_id, partition),) = {(record.key, record.partition) for record in requests}
    assert {(record.key, record.partition) for record in records} == {(export_id, partition)}
    assert partition == DefaultPartitioner()(export_id, [*range(PARTITIONS)], [*range(PARTITIONS)])


async def test_kcat(
    node: NodeProcess,
    bootstrap_servers: str,
    topics: Topics,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    require_tool("kcat")
    printed = run(environment, EXAMPLES / "kcat.sh", "by-hand").splitlines()
    (record,) = await committed(bootstrap_servers, topics.completions, at_least=1)
    sent = ",".join(f"{name}={text}" for name, text in headers(record).items())
    assert printed == [f"by-hand {sent}", record.value.decode()]
    path = tmp_path / "exports" / "by-hand.csv"
    assert path.read_bytes() == b"id,amount\r\n1,12.50\r\n2,9.99\r\n"
