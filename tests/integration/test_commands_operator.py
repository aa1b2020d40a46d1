"""The commands of operators as a user runs them: as processes, on a real Kafka."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from schemas.codec import decode_request
from schemas.completions import ExportCancelled, ExportCompleted
from schemas.requests import CancelRequested
from schemas.topics import Topics
from tests.support.nodes import SLUICE, NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.shell import Shell
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = pytest.mark.kafka

NOWHERE = "127.0.0.1:9"


def test_wrong_use_is_exit_2(no_topics: Shell) -> None:
    """An argument that is no UTF-8, as a shell passes it."""
    line = no_topics.fails("cancel", os.fsdecode(b"\xff"), code=2)
    assert line.startswith("EXPORT_ID: '\\udcff'")


@pytest.mark.parametrize(
    "arguments",
    [["cancel", "a"], ["dead-letters", "list"], ["dead-letters", "requeue", "--all"]],
)
def test_missing_topics_and_brokers_are_one_line(no_topics: Shell, arguments: list[str]) -> None:
    assert no_topics.fails(*arguments).startswith("no such topic: ")
    line = no_topics.fails(*arguments, SLUICE_BOOTSTRAP_SERVERS=NOWHERE)
    assert line.startswith(f"Kafka at {NOWHERE} can't be used: ")


# cancel


async def test_cancel_reaches_an_export_on_whatever_partition(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, node: NodeProcess
) -> None:
    # A partitioner of the upstream's own: no key, any partition.
    request = {"type": "export.requested", "export_id": "ord-1", "format": "csv", "columns": ["n"]}
    await upstream.send(topics.requests, None, request, partition=7)
    done = shell.run("cancel", "ord-1")
    printed = f"requested that ord-1 be cancelled, on every partition of {topics.requests}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
    (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert isinstance(event, ExportCancelled)
    records = await committed(bootstrap_servers, topics.requests, at_least=13)
    cancels = [r for r in records if decode_request(r.value) == CancelRequested(export_id="ord-1")]
    assert sorted(record.partition for record in cancels) == list(range(12))
    assert {record.key for record in cancels} == {b"ord-1"}
    # Too late now, and of an id that nobody knows: requested all the same, and ignored.
    assert shell.run("cancel", "ord-1").returncode == 0
    assert shell.run("cancel", "unknown").returncode == 0
    assert len(await events(bootstrap_servers, topics.completions)) == 1


# verify


async def test_verify_finds_what_was_tampered_with(shell: Shell, node: NodeProcess) -> None:
    plain = ["--format", "csv", "--option", "header=false", "--option", "null=-", "--wait"]
    shell.file("plain.csv", "n,t\nann,x\nbob,y\n")
    for arguments in (
        ["seed", "--records", "1000", "--format", "csv", "--wait"],
        ["seed", "--records", "120", "--format", "pdf", "--wait"],
        ["submit", "plain.csv", "--export-id", "plain", *plain],
    ):
        assert shell.run(*arguments).returncode == 0
    exports = shell.directory / "exports"
    for location in ("exports", exports.as_uri(), f"{exports}/"):
        done = shell.run("verify", location)
        assert (done.returncode, done.stderr) == (0, ""), done
        *lines, summary = done.stdout.splitlines()
        assert summary == "3 checked, all as their manifests say"
        assert [line.split()[:3] for line in lines] == [
            ["ok", "plain.csv", "2"],
            ["ok", next(exports.glob("seed-csv-*.csv")).name, "1000"],
            ["ok", next(exports.glob("seed-pdf-*.pdf")).name, "120"],
        ]
    seeded = next(exports.glob("seed-csv-*.csv"))
    content = seeded.read_bytes()
    seeded.write_bytes(content.replace(b"1", b"2", 1))
    done = shell.run("verify", "exports", str(exports / "plain.csv"))
    assert done.returncode == 1
    assert done.stderr == "sluice: 1 of 4 are not as their manifests say\n"
    (wrong,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert f"{seeded.name} differs: sha256 " in wrong


async def test_verify_asks_kafka_whether_there_is_a_header_line(
    shell: Shell, node: NodeProcess
) -> None:
    shell.file("names.csv", "name,note\nann,x\nbob,y\n")
    arguments = ["submit", "names.csv", "--format", "csv", "--wait", "--export-id"]
    for export_id, more in (("with", []), ("without", ["--option", "header=false"])):
        assert shell.run(*arguments, export_id, *more).returncode == 0
    manifest = shell.directory / "exports" / "with.manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"rows":2', b'"rows":3'))
    done = shell.run("verify", "exports")
    assert done.stdout.splitlines()[0] == "WRONG with.csv differs: rows 2, manifest 3"
    assert done.stdout.splitlines()[1].startswith("ok    without.csv 2 rows ")
    # Without Kafka it can't be known: nothing in the first record tells it from the others.
    assert shell.run("verify", "exports", SLUICE_BOOTSTRAP_SERVERS=NOWHERE).returncode == 0


def test_verify_says_what_is_not_there(no_topics: Shell) -> None:
    done = no_topics.run("verify", "none.csv", "no/such/dir", os.fsdecode(b"\xff\n.csv"))
    assert done.stdout.splitlines() == [
        "WRONG none.csv isn't there",
        "WRONG dir isn't there",
        "WRONG   .csv isn't there",
    ]
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    (no_topics.directory / "empty").mkdir()
    assert no_topics.run("verify", "empty").stdout == "0 checked, all as their manifests say\n"


# check


async def test_check_passes_on_a_node_that_works(shell: Shell, node: NodeProcess) -> None:
    assert shell.run("seed", "--records", "10", "--format", "csv", "--wait").returncode == 0
    host, port = httpx.URL(node.url).host, httpx.URL(node.url).port
    for arguments, environment in (
        ([node.url], {}),
        ([f"{node.url}/metrics"], {}),
        ([f"{node.url}/export/"], {}),
        ([f"{host}:{port}"], {"http_proxy": "http://127.0.0.1:9"}),
        ([], {"SLUICE_HTTP_PORT": str(port), "SLUICE_HTTP_HOST": "0.0.0.0"}),  # noqa: S104 - as a node has it
    ):
        done = shell.run("check", *arguments, **environment)
        assert (done.returncode, done.stderr) == (0, ""), done
        lines = done.stdout.splitlines()
        assert len(lines) == 6
        assert all(line.startswith("ok   ") for line in lines)
        assert lines[0] == "ok   metrics: 9/9 present"


async def test_check_fails_where_an_assertion_does(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell
) -> None:
    async with node_on(bootstrap_servers, topics, shell.directory) as node:
        await upstream.request("bad", columns=[])
        await events(bootstrap_servers, topics.completions, at_least=1)
        done = shell.run("check", node.url)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL ")]
    assert failed == ["FAIL success >= 95 %: 0", "FAIL bytes > 0: 0"]
    assert done.stderr == f"sluice: 2 of 6 assertions fail on {node.url}/metrics\n"
    assert "can't be reached: Connection refused" in shell.fails("check", node.url)


@contextmanager
def answering(status: int, body: bytes, length: int | None = None) -> Iterator[str]:
    """The URL of a server that gives the same answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"", "answers 404 Not Found"),
        (500, b"x", "answers 500 Internal Server Error"),
        (200, b"<html>", "is no metrics"),
        (200, b"\xff\xfe", "is no metrics"),
    ],
)
def test_what_is_no_node_is_one_line(
    no_topics: Shell, status: int, body: bytes, words: str
) -> None:
    with answering(status, body) as url:
        assert words in no_topics.fails("check", url)


# dead letters


async def dead_letter(
    upstream: Upstream, producer: AIOKafkaProducer, topics: Topics
) -> dict[str, tuple[int, bytes | None, bytes | None]]:
    """One dead letter of each reason; partition, key and value by reason."""
    sent: dict[str, tuple[int, bytes | None, bytes | None]] = {
        "unreadable": (1, b"k\x1b[2J\xff", b"{\n\x07 \xff"),
        "invalid_id": (2, None, b'{"type": "export.requested", "export_id": "/"}'),
        "unknown_type": (3, b"k", b'{"type": "x"}'),
        "null_value": (4, b"k", None),
        "orphan_batch": (5, b"a", b'{"export_id": "a", "seq": 0, "rows": [[1, 2]], "last": true}'),
    }
    for reason, (partition, key, value) in sent.items():
        topic = topics.records if reason in {"orphan_batch", "null_value"} else topics.requests
        own = [("trace", b"\x00\x01"), ("sluice_reason", b"forged"), ("trace", b"2")]
        await producer.send_and_wait(topic, value, key=key, partition=partition, headers=own)
    return sent


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    yield producer
    await producer.stop()


async def after(
    servers: str, topic: str, earlier: list[ConsumerRecord], count: int
) -> list[ConsumerRecord]:
    """Records of a topic that were not there before."""
    known = {(record.partition, record.offset) for record in earlier}
    found = await committed(servers, topic, at_least=len(earlier) + count)
    return [record for record in found if (record.partition, record.offset) not in known]


async def test_dead_letters_are_listed_and_put_back_as_they_were(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    shell: Shell,
) -> None:
    async with NodeProcess(shell.environment, shell.directory / "node.log") as node:
        sent = await dead_letter(upstream, producer, topics)
        await committed(bootstrap_servers, topics.dead_letters, at_least=5)
        node.terminate()

    done = shell.run("dead-letters", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    listed = {letter["reason"]: letter for letter in map(json.loads, done.stdout.splitlines())}
    assert listed.keys() == sent.keys()
    for reason, (partition, key, value) in sent.items():
        letter = listed[reason]
        assert letter["source"]["partition"] == partition
        assert letter["key"] == (None if key is None else key.decode(errors="backslashreplace"))
        assert letter["value"] == (
            None if value is None else value.decode(errors="backslashreplace")
        )
        assert letter["headers"] == [["trace", "\0\1"], ["trace", "2"]]

    lines = shell.run("dead-letters", "list").stdout.splitlines()
    assert [line.isprintable() for line in lines] == [True] * 5
    (line,) = shell.run("dead-letters", "list", "--reason", "unreadable").stdout.splitlines()
    place = f"{listed['unreadable']['partition']}:{listed['unreadable']['offset']}"
    assert line.startswith(f"{place} unreadable {topics.requests} 1:0 20")
    assert line.endswith(r'Z key="k\x1b[2J\xff" 5 bytes: {\n\x07 \xff')
    newest = shell.run("dead-letters", "list", "--last", "2", "--json").stdout.splitlines()
    times = sorted((letter["time"] for letter in listed.values()), reverse=True)
    assert all(json.loads(one)["time"] >= times[2] for one in newest)
    assert len(newest) == 2
    assert shell.run("dead-letters", "list", "--to", times[-1]).stdout == ""
    assert len(shell.run("dead-letters", "list", "--from", times[-1]).stdout.splitlines()) == 5

    before = {
        name: await committed(bootstrap_servers, name) for name in (topics.requests, topics.records)
    }
    dry = shell.run("dead-letters", "requeue", "--all", "--dry-run")
    assert dry.stdout.splitlines()[-1] == "5 would be put back"
    assert await after(bootstrap_servers, topics.requests, before[topics.requests], 0) == []
    done = shell.run("dead-letters", "requeue", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "5 put back"
    back = [
        *await after(bootstrap_servers, topics.requests, before[topics.requests], 3),
        *await after(bootstrap_servers, topics.records, before[topics.records], 2),
    ]
    assert {(r.partition, r.key, r.value) for r in back} == set(sent.values())
    assert {r.headers for r in back} == {(("trace", b"\x00\x01"), ("trace", b"2"))}


async def test_a_batch_is_put_back_behind_its_late_request(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, node: NodeProcess
) -> None:
    rows = rows_of(0, 10)
    await upstream.batch("ord-1", 0, rows[:5])
    await upstream.batch("ord-1", 1, rows[5:], last=True)
    first, second = await committed(bootstrap_servers, topics.dead_letters, at_least=2)
    await upstream.request("ord-1")
    places = [f"{record.partition}:{record.offset}" for record in (second, first)]
    done = shell.run("dead-letters", "requeue", *places)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "2 put back"
    found = by_id(await events(bootstrap_servers, topics.completions, at_least=1))
    assert isinstance(found["ord-1"], ExportCompleted)
    assert (shell.directory / "exports" / "ord-1.csv").read_bytes() == csv_bytes(rows)


async def test_what_cannot_go_back_is_refused_and_the_rest_goes(
    bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer, shell: Shell
) -> None:
    def origin(**fields: str) -> list[tuple[str, bytes]]:
        return [(f"sluice_{name}", text.encode()) for name, text in fields.items()]

    where = {"reason": "unreadable", "topic": topics.requests, "partition": "0", "offset": "7"}
    letters: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
        (b"k", b"fine", origin(**where)),
        (b"k", b"", origin(**where, truncated="true")),
        (b"k", b"x", origin(**where | {"topic": topics.completions})),
        (b"k", b"x", origin(**where | {"topic": "else\x1b[2Jwhere"})),
        (b"k", b"x", origin(**where | {"partition": "12"})),
        (b"k", b"x", origin(**where | {"partition": "-1"})),
        (b"k", b"x", []),
    ]
    for key, value, own in letters:
        await producer.send_and_wait(topics.dead_letters, value, key=key, partition=3, headers=own)
    no_input = "no input topic of these settings"
    done = shell.run("dead-letters", "requeue", "--all")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"requeued 3:0 to {topics.requests} 0",
        "refused 3:1: it was too large for the dead-letters topic: its value is not there",
        f"refused 3:2: it came from '{topics.completions}', which is {no_input}",
        rf"refused 3:3: it came from 'else\x1b[2Jwhere', which is {no_input}",
        f"refused 3:4: {topics.requests} has no partition 12",
        "refused 3:5: its headers don't say where it came from",
        "refused 3:6: its headers don't say where it came from",
        "1 put back",
    ]
    assert done.stderr == "sluice: 6 of 7 can't be put back\n"
    (record,) = await committed(bootstrap_servers, topics.requests)
    assert (record.partition, record.key, record.value) == (0, b"k", b"fine")
    assert headers(record) == {}
    listed = shell.run("dead-letters", "list").stdout.splitlines()
    assert len(listed) == 7
    assert "truncated" in listed[1]
    assert listed[6].startswith("3:6 - - ")
    done = shell.run("dead-letters", "requeue", "3:0", "3:99", "99:0")
    assert done.stdout.splitlines()[1:] == [
        "missing 3:99: there is no such dead letter",
        "missing 99:0: there is no such dead letter",
        "1 put back",
    ]
    assert done.stderr == "sluice: 2 of 3 can't be put back\n"


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_listing_ends_at_the_end_as_of_now_and_past_markers(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    """Transactions leave markers, aborted messages and, while open, an end before the end."""
    writer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id=topics.requests)
    await writer.start()
    for number, commits in enumerate([True, False, True, False]):
        await writer.begin_transaction()
        await writer.send_and_wait(topics.dead_letters, b"%d" % number, key=b"k")
        await (writer.commit_transaction() if commits else writer.abort_transaction())
    await writer.begin_transaction()
    await writer.send_and_wait(topics.dead_letters, b"open", key=b"k")
    lines = shell.run("dead-letters", "list").stdout.splitlines()
    await writer.abort_transaction()
    await writer.stop()
    assert [line.rpartition(": ")[2] for line in lines] == ["0", "2"]


_PEAK_OF = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_memory_does_not_grow_with_the_dead_letters(
    bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer, shell: Shell
) -> None:
    noise = os.urandom(100_000)
    await producer.send_and_wait(topics.dead_letters, noise, key=b"k")
    small = _peak_kib(shell)
    for _ in range(600):
        await producer.send(topics.dead_letters, noise, key=b"k")
    await producer.flush()
    large = _peak_kib(shell)
    assert large - small < 48 * 1024, (small, large)


def _peak_kib(shell: Shell) -> int:
    # By a small process in between: a child's peak counts its parent's memory until the exec.
    done = subprocess.run(
        [sys.executable, "-c", _PEAK_OF, SLUICE, "dead-letters", "list", "--json"],
        env=shell.environment,
        capture_output=True,
        check=True,
    )
    return int(done.stdout)
