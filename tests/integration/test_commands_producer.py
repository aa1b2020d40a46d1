"""The commands of upstream's side as a user runs them: as processes, on a real Kafka."""

import json
import os
import pty
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Topics
from tests.support.nodes import SLUICE, NodeProcess
from tests.support.outcomes import by_id, committed, events, rows_of
from tests.support.shell import Shell

pytestmark = pytest.mark.kafka

CSV = 'id,name,note\r\n1,Çağla ş→ğ,"=say ""hi"",\r\nthen go"\r\n2,,-5 %\r\n'.encode()


def sha256_of(location: str) -> str:
    return sha256(Path(location.removeprefix("file://")).read_bytes()).hexdigest()


async def test_seed_prints_ids_that_are_new_of_rows_that_are_not(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    arguments = ["seed", "--records", "1500", "--format", "csv", "--exports", "2", "--seed", "7"]
    first, second = shell.run(*arguments), shell.run(*arguments)
    assert (first.returncode, first.stderr) == (0, "")
    ids = [*first.stdout.split(), *second.stdout.split()]
    assert len(set(ids)) == 4
    rows = [await rows_of(bootstrap_servers, topics, export_id) for export_id in ids]
    assert rows[0] == rows[2] != rows[1] == rows[3]
    assert len(rows[0]) == 1_500


async def test_seed_batch_follows_its_five_scenarios(
    bootstrap_servers: str, topics: Topics, shell: Shell, node: NodeProcess
) -> None:
    done = shell.run("seed", "--batch", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    ids, lines = done.stdout.splitlines()[:5], done.stdout.splitlines()[5:]
    found = by_id(await events(bootstrap_servers, topics.completions, at_least=5))
    assert [found[one].rows for one in ids] == [1_000, 10_000, 50_000, 1_000, 10_000]
    assert sorted(line.split()[1] for line in lines) == sorted(ids)
    for line in lines:
        state, export_id, *_, digest, location = line.split()
        assert (state, digest) == ("completed", sha256_of(location))
        assert found[export_id].location == location


def test_wrong_use_is_exit_2(no_topics: Shell) -> None:
    assert "give --records and --format, or --batch" in no_topics.fails("seed", code=2)


async def test_watch_prints_events_as_they_are_committed(
    bootstrap_servers: str, topics: Topics, shell: Shell, node: NodeProcess
) -> None:
    shell.run("seed", "--records", "10", "--format", "csv", "--wait")
    oldest, newest = shell.start("watch", "--from-beginning"), shell.start("watch", "--json")
    with oldest, newest:
        assert oldest.stdout
        assert newest.stdout
        assert oldest.stdout.readline().startswith(b"completed seed-csv-10-")
        # Its JSON twin has no way to say that it is there: one of many events will be its first.
        printed = _first_line_while(
            newest, lambda: shell.run("seed", "--records", "1", "--format", "pdf")
        )
        records = await committed(bootstrap_servers, topics.completions, at_least=2)
        assert printed.removesuffix(b"\n") in [record.value for record in records]
        for process, number in ((oldest, signal.SIGINT), (newest, signal.SIGTERM)):
            process.send_signal(number)
            assert process.wait(20) == 128 + number
            assert process.stderr
            assert process.stderr.read() == b""
    assert json.loads(printed)["type"] == "export.completed"


def _first_line_while(process: subprocess.Popen[bytes], again: Callable[[], object]) -> bytes:
    """The first line that a process prints, while something is done again and again."""
    assert process.stdout
    lines: queue.Queue[bytes] = queue.Queue()
    reading = threading.Thread(target=_read_line, args=(process.stdout, lines))
    reading.start()
    deadline = time.monotonic() + 60
    while reading.is_alive() and time.monotonic() < deadline:
        again()
    return lines.get(timeout=1)


def _read_line(file: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    lines.put(file.readline())


async def test_watch_ends_when_nobody_reads(shell: Shell) -> None:
    with shell.start("watch") as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr
        assert process.stderr.read() == b""


async def test_topics_create_says_what_it_did(bootstrap_servers: str, no_topics: Shell) -> None:
    prefix = no_topics.environment["SLUICE_TOPIC_PREFIX"]
    names = [f"{prefix}.{n}" for n in ("requests", "records", "completions", "dead-letters")]
    for word in ("created", "exists"):
        done = no_topics.run("topics", "create", SLUICE_PARTITIONS="2")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [f"{word} {name} partitions=2" for name in names]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.delete_topics(names)
    await admin.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["watch"],
        ["seed", "--batch"],
        ["seed", "--batch", "--wait"],
        ["submit", "orders.csv", "--format", "csv"],
        ["topics", "create"],
    ],
)
def test_an_unreachable_broker_is_one_line_in_time(no_topics: Shell, arguments: list[str]) -> None:
    no_topics.file("orders.csv", CSV)
    started = time.monotonic()
    line = no_topics.fails(*arguments, SLUICE_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert line.startswith("Kafka at 127.0.0.1:9 can't be used: ")
    assert time.monotonic() - started < 20  # 8, and the start of a process on a busy machine


@pytest.mark.parametrize(
    "arguments",
    [["watch"], ["seed", "--batch", "--wait"], ["submit", "orders.csv", "--format", "csv"]],
)
def test_missing_topics_are_one_line(no_topics: Shell, arguments: list[str]) -> None:
    no_topics.file("orders.csv", CSV)
    line = no_topics.fails(*arguments)
    assert line.startswith(f"no such topic: {no_topics.environment['SLUICE_TOPIC_PREFIX']}.")
    assert "sluice topics create" in line


def test_it_has_help(no_topics: Shell) -> None:
    done = no_topics.run("submit", "--help", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    assert "submit" in done.stdout


async def test_progress_is_on_a_terminal_and_the_answer_where_it_was_sent(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [SLUICE, "seed", "--records", "50000", "--format", "csv"],
        env=shell.environment | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=60,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.stdout.decode().startswith("seed-csv-50000-")
    assert len(done.stdout.splitlines()) == 1
    assert "rows" in shown
