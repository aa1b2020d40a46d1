"""The commands of operators as a user runs them: as processes, on a real Kafka."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from schemas.codec import decode_request
from schemas.completions import ExportCancelled
from schemas.requests import CancelRequested
from schemas.topics import Topics
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import committed, events
from tests.support.shell import Shell
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream

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
    await upstream.send(topics.requests, None, request, partition=3)
    done = shell.run("cancel", "ord-1")
    printed = f"requested that ord-1 be cancelled, on every partition of {topics.requests}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
    (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert isinstance(event, ExportCancelled)
    records = await committed(bootstrap_servers, topics.requests, at_least=PARTITIONS + 1)
    cancels = [r for r in records if decode_request(r.value) == CancelRequested(export_id="ord-1")]
    assert sorted(record.partition for record in cancels) == [*range(PARTITIONS)]
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
        base = location.rstrip("/")
        assert summary == "3 checked, all as their manifests say"
        assert [line.split()[:3] for line in lines] == [
            ["ok", f"{base}/plain.csv", "2"],
            ["ok", f"{base}/{next(exports.glob('seed-csv-*.csv')).name}", "1000"],
            ["ok", f"{base}/{next(exports.glob('seed-pdf-*.pdf')).name}", "120"],
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
    assert done.stdout.splitlines()[0] == "WRONG exports/with.csv differs: rows 2, manifest 3"
    assert done.stdout.splitlines()[1].startswith("ok    exports/without.csv 2 rows ")
    # Without Kafka it can't be known: nothing in the first record tells it from the others.
    assert shell.run("verify", "exports", SLUICE_BOOTSTRAP_SERVERS=NOWHERE).returncode == 0


def test_verify_says_what_is_not_there(no_topics: Shell) -> None:
    done = no_topics.run("verify", "none.csv", "no/such/dir", os.fsdecode(b"\xff\n.csv"))
    assert done.stdout.splitlines() == [
        "WRONG none.csv isn't there",
        "WRONG no/such/dir isn't there",
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
