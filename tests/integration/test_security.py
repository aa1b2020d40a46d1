"""TLS and SASL: every command and a node over them, and what is reported where they don't fit."""

import asyncio
import itertools
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from clients.errors import ClientError
from clients.topics import create_topics
from consumer.cluster import Cluster
from consumer.errors import NodeRefused
from producer.downstream import completions
from schemas.times import format_time
from schemas.topics import Topics
from sluice.settings import Settings, load_settings
from tests.support.certificates import OPENSSL
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, settings_for
from tests.support.secured_kafka import PASSWORD, SecuredKafka, secured_kafka
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(OPENSSL is None, reason="the openssl command makes the certificates"),
]

TOKEN = "token-that-nobody-may-see"  # noqa: S105 - of a node that lives as long as a test
GUESS = "guess-that-nobody-may-see"
# A client gives up connecting after 8 s, and then asks why for 2; the rest is for busy machines.
REFUSED_SECONDS = 30.0
_numbers = itertools.count()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


class Commands:
    """Runs commands, and keeps all that they print."""

    def __init__(self, kafka: SecuredKafka, directory: Path, settings: dict[str, str]) -> None:
        self.topics = Topics.named(f"secured-{next(_numbers)}")
        servers = kafka.servers["PLAIN"]  # where the settings have no other
        environment = settings_for(servers, self.topics, directory / "exports", **settings)
        self.shell = Shell(environment, directory)
        self.text = ""

    async def run(self, *arguments: str, code: int = 0) -> str:
        done = await asyncio.to_thread(self.shell.run, *arguments)
        self.text += done.stdout + done.stderr
        assert done.returncode == code, done
        return done.stdout


async def at_a_time(number: int, tests: list[Coroutine[Any, Any, None]]) -> None:
    """All of them; most of what they do is to wait for processes that start or connect."""
    room = asyncio.Semaphore(number)

    async def one(test: Coroutine[Any, Any, None]) -> None:
        async with room:
            await test

    async with asyncio.TaskGroup() as group:
        for test in tests:
            group.create_task(one(test))


def subdirectory(directory: Path, *words: str) -> Path:
    made = directory / "-".join(words)
    made.mkdir()
    return made


async def test_an_export_over_every_listener(kafka: SecuredKafka, tmp_path: Path) -> None:
    """Topics are made, a node completes, a client reads; at debug, and no secret is printed."""
    ways = [("TLS", ""), ("SASL", "PLAIN"), ("SASL", "SCRAM-SHA-256"), ("SASLTLS", "PLAIN")]
    await at_a_time(2, [export_over(kafka, tmp_path, *way) for way in ways])


async def export_over(kafka: SecuredKafka, tmp_path: Path, listener: str, mechanism: str) -> None:
    settings = kafka.settings(listener, mechanism) | {"LOG_LEVEL": "debug"}
    commands = Commands(kafka, subdirectory(tmp_path, listener, mechanism), settings)
    assert (await commands.run("topics", "create")).count("created") == 4
    async with NodeProcess(
        commands.shell.environment, commands.shell.directory / "node.log"
    ) as node:
        await commands.run("seed", "--records", "200", "--format", "csv", "--wait")
        assert await asyncio.to_thread(node.terminate) == 0
    log = node.log.read_text()
    assert ("SaslAuthenticateRequest" in log) == listener.startswith("SASL")
    assert PASSWORD not in log + commands.text


async def test_every_command_over_what_asks_for_most(kafka: SecuredKafka, tmp_path: Path) -> None:
    ways = [("MUTUAL", ""), ("SASLTLS", "SCRAM-SHA-512")]
    await at_a_time(2, [every_command_over(kafka, tmp_path, *way) for way in ways])


async def every_command_over(
    kafka: SecuredKafka, tmp_path: Path, listener: str, mechanism: str
) -> None:
    directory = subdirectory(tmp_path, listener, mechanism)
    commands = Commands(kafka, directory, kafka.settings(listener, mechanism))
    await commands.run("topics", "create")
    watch = commands.shell.start("watch", "--from-beginning")
    async with NodeProcess(commands.shell.environment, directory / "node.log") as node:
        await commands.run("seed", "--records", "100", "--format", "pdf", "--wait")
        rows = commands.shell.file("rows.csv", "a,b\n1,2\n")
        await commands.run("submit", rows, "--format", "csv", "--export-id", "sent", "--wait")
        assert "requested that" in await commands.run("cancel", "sent")
        await send_orphan(kafka, commands.topics)
        assert "orphan_batch" in await until(commands, "dead-letters", "list")
        assert (await commands.run("dead-letters", "requeue", "--all")).endswith("1 put back\n")
        assert (await commands.run("check", node.url)).count("\n") == 6
        assert "ok " in await commands.run("verify", str(directory / "exports"))
        await use_http(node.url)
        now = format_time(datetime.now(UTC))
        await commands.run(
            "replay", "--from", "2020-01-01T00:00:00Z", "--to", now, "--speed", "1000"
        )
    assert watch.stdout
    watch.terminate()
    printed, errors = await asyncio.to_thread(watch.communicate, timeout=10)
    assert (b" sent " in printed, errors) == (True, b"")
    await asyncio.wait_for(handled(commands), 30)
    assert PASSWORD not in node.log.read_text() + commands.text


async def send_orphan(kafka: SecuredKafka, topics: Topics) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.servers["PLAIN"]) as producer:
        batch = b'{"export_id": "nobody", "seq": 0, "rows": []}'
        await producer.send_and_wait(topics.records, batch, key=b"nobody")


async def until(commands: Commands, *arguments: str) -> str:
    """What a command prints, once it prints something."""
    async with asyncio.timeout(20):
        while not (printed := await commands.run(*arguments)):
            await asyncio.sleep(0.2)
    return printed


async def use_http(url: str) -> None:
    """The node's own publisher and its backlog connect as well."""
    wanted = {"format": "csv", "columns": ["n"], "data": [[1]], "export_id": "over-http"}
    async with http_client(url) as client:
        done = await client.post("/export/run?wait=20", json=wanted, timeout=30)
        assert (done.status_code, done.json()["type"]) == (200, "export.completed")
        assert (await client.get("/export/status/over-http")).json()["state"] == "completed"
        assert (await client.get("/export/status/unknown")).status_code == 404


async def handled(commands: Commands) -> None:
    """A downstream service that takes the same options reads all that it should."""
    options = load_settings(commands.shell.environment).client_options()
    found: set[str] = set()
    async with completions(commands.topics, "downstream", **options) as events:
        async for event in events:
            found.add(event.export_id)
            if {"sent", "over-http"} <= found:
                return


def refusals(kafka: SecuredKafka) -> dict[str, tuple[dict[str, str], list[str]]]:
    """What is wrong: settings, and what the line has to say."""
    tls, sasl, both = (kafka.settings(it) for it in ("TLS", "SASL", "SASLTLS"))
    protocol, login = "SLUICE_SECURITY_PROTOCOL", "SLUICE_SASL_USERNAME with SLUICE_SASL_PASSWORD"
    stranger = kafka.stranger.certificate
    wrong = {"SASL_PASSWORD": GUESS}
    scram = {"SASL_MECHANISM": "SCRAM-SHA-256"}

    def at(listener: str) -> dict[str, str]:
        return {"BOOTSTRAP_SERVERS": kafka.servers[listener]}

    return {
        "a plain client on TLS": (at("TLS"), [protocol]),
        "a plain client on SASL": (at("SASL"), [protocol]),
        "TLS on a plain port": (tls | at("PLAIN"), [protocol]),
        "TLS on SASL over TLS": (tls | at("SASLTLS"), [protocol]),
        "SASL on a plain port": (sasl | at("PLAIN"), ["no SASL", protocol]),
        "SASL on SASL over TLS": (sasl | at("SASLTLS"), [protocol]),
        "SASL over TLS on TLS": (both | at("TLS"), ["no SASL", protocol]),
        "a wrong password": (sasl | wrong, [login, "Invalid username or password"]),
        "a wrong password, SCRAM": (sasl | scram | wrong, [login]),
        "a wrong user, over TLS": (both | {"SASL_USERNAME": "mallory"}, [login]),
        "another mechanism": (both | scram, ["SLUICE_SASL_MECHANISM SCRAM-SHA-256"]),
        "another authority": (tls | {"SSL_CAFILE": str(stranger)}, ["SLUICE_SSL_CAFILE"]),
        "the system's authorities": (tls | {"SSL_CAFILE": ""}, ["SLUICE_SSL_CAFILE"]),
        "an expired certificate": (kafka.settings("EXPIRED"), ["SLUICE_SSL_CAFILE", "expired"]),
        "a certificate of another host": (
            kafka.settings("ELSEWHERE"),
            ["not valid for '127.0.0.1'", "SLUICE_BOOTSTRAP_SERVERS"],
        ),
        "a broker that is advertised by another name": (
            {
                **tls,
                "BOOTSTRAP_SERVERS": kafka.servers["ELSEWHERE"].replace("127.0.0.1", "localhost"),
            },
            ["not valid for '127.0.0.1'", f"at {kafka.servers['ELSEWHERE']}"],
        ),
        "no certificate of ours": (tls | at("MUTUAL"), ["SLUICE_SSL_CERTFILE", "required"]),
        "a stranger's certificate": (
            kafka.settings("MUTUAL")
            | {"SSL_CERTFILE": str(stranger), "SSL_KEYFILE": str(stranger.with_suffix(".key"))},
            ["SLUICE_SSL_CERTFILE", "unknown"],
        ),
        "one server down, another refuses": (
            {**sasl, **wrong, "BOOTSTRAP_SERVERS": f"127.0.0.1:1,{sasl['BOOTSTRAP_SERVERS']}"},
            [login],
        ),
    }


async def test_what_does_not_fit_is_reported_in_words_that_name_the_setting(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    """By both sides: what a command connects with, and what a node does."""

    async def refused(what: str, given: dict[str, str], words: list[str]) -> None:
        environment = settings_for(kafka.servers["PLAIN"], Topics.named(), tmp_path, **given)
        settings = load_settings(environment)
        async with asyncio.timeout(REFUSED_SECONDS):
            lines = await error_of_a_command(settings), await error_of_a_node(settings)
        for line in lines:
            assert line.startswith(f"Kafka at {settings.bootstrap_servers} can't be used: "), what
            assert all(word in line for word in words), (what, line)
            assert GUESS not in line, what

    await at_a_time(4, [refused(what, *wrong) for what, wrong in refusals(kafka).items()])


async def error_of_a_command(settings: Settings) -> str:
    with pytest.raises(ClientError) as refused:
        await create_topics(settings.topics, 1, 1, **settings.client_options())
    return str(refused.value)


async def error_of_a_node(settings: Settings) -> str:
    with pytest.raises(NodeRefused) as refused:
        async with Cluster(settings.topics, "g", settings.client_options()) as cluster:
            await cluster.check_topics()
    return str(refused.value)


async def test_every_command_says_that_its_login_is_refused(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    commands = Commands(kafka, tmp_path, kafka.settings("SASL") | {"SASL_PASSWORD": GUESS})
    commands.shell.file("rows.csv", "a\n1\n")
    lines = [
        ["serve"],
        ["topics", "create"],
        ["seed", "--batch", "--wait"],
        ["submit", "rows.csv", "--format", "csv"],
        ["watch"],
        ["cancel", "a"],
        ["replay", "--from", "2020-01-01T00:00:00Z"],
        ["dead-letters", "list"],
        ["dead-letters", "requeue", "--all"],
    ]
    logins = [asyncio.to_thread(refused_login, commands.shell, line) for line in lines]
    await at_a_time(4, logins)


def refused_login(shell: Shell, arguments: list[str]) -> None:
    begun = time.monotonic()
    line = shell.fails(*arguments)
    assert time.monotonic() - begun < REFUSED_SECONDS, arguments
    assert "SLUICE_SASL_USERNAME with SLUICE_SASL_PASSWORD" in line, arguments
    done = shell.run(*arguments, SLUICE_LOG_LEVEL="debug")
    assert done.returncode == 1, arguments
    assert GUESS not in line + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"SSL_CAFILE": "none.pem"}, "SLUICE_SSL_CAFILE"),
        ({"SSL_KEYFILE": "none.pem"}, "SLUICE_SSL_KEYFILE"),
        ({"SSL_KEYFILE": ""}, "SLUICE_SSL_KEYFILE"),
        ({"SSL_CERTFILE": ""}, "SLUICE_SSL_KEYFILE"),
    ],
)
def test_files_that_do_not_serve_are_named_before_anything_starts(
    kafka: SecuredKafka, tmp_path: Path, given: dict[str, str], name: str
) -> None:
    commands = Commands(kafka, tmp_path, kafka.settings("MUTUAL") | given)
    assert commands.shell.fails("serve", code=2).startswith(f"{name}: ")
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"HTTP_HOST": "0.0.0.0"}, True),  # noqa: S104 - that is the point
        ({"HTTP_HOST": "0.0.0.0", "API_TOKENS": f"{TOKEN}:alice"}, False),  # noqa: S104 - likewise
        ({"HTTP_HOST": "localhost"}, False),
    ],
)
async def test_a_node_that_anyone_can_use_warns(
    kafka: SecuredKafka, tmp_path: Path, settings: dict[str, str], warned: bool
) -> None:
    commands = Commands(kafka, tmp_path, settings)
    await commands.run("topics", "create")
    async with NodeProcess(commands.shell.environment, tmp_path / "node.log") as node:
        lines = [line for line in node.lines() if "SLUICE_API_TOKENS" in line["event"]]
    assert [line["level"] for line in lines] == ["warning"] * warned


async def test_a_token_is_printed_nowhere(kafka: SecuredKafka, tmp_path: Path) -> None:
    commands = Commands(kafka, tmp_path, {"API_TOKENS": f"{TOKEN}:alice", "LOG_LEVEL": "debug"})
    await commands.run("topics", "create")
    answers = ""
    async with NodeProcess(commands.shell.environment, tmp_path / "node.log") as node:
        async with http_client(node.url) as client:
            for path, token, code in (
                ("/export/status", TOKEN, 200),
                ("/export/status", GUESS, 401),
                ("/export/status/nobody", TOKEN, 404),
                ("/export/run", TOKEN, 405),
                ("/health", TOKEN, 200),
                ("/ready", GUESS, 200),
                ("/metrics", TOKEN, 200),
                ("/openapi.json", TOKEN, 200),
            ):
                answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == code, answer.text
                answers += answer.text + str(answer.headers)
        assert node.terminate() == 0
    answers += node.log.read_text()
    answers += await commands.run("--help") + await commands.run("serve", "--help")
    assert TOKEN not in answers
    assert GUESS not in answers
