"""``sluice dead-letters``: listed, and put back where they came from."""

import json
import os
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from schemas.completions import ExportCompleted
from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.shell import Shell
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = pytest.mark.kafka


async def dead_letter(
    upstream: Upstream, producer: AIOKafkaProducer, topics: Topics
) -> dict[str, tuple[int, bytes | None, bytes | None]]:
    """One dead letter of each reason; partition, key and value by reason."""
    sent: dict[str, tuple[int, bytes | None, bytes | None]] = {
        "unreadable": (1, b"k\x1b[2J\xff", b"{\n\x07 \xff"),
        "invalid_id": (2, None, b'{"type": "export.requested", "export_id": "/"}'),
        "unknown_type": (3, b"k", b'{"type": "x"}'),
        "null_value": (2, b"k", None),
        "orphan_batch": (3, b"a", b'{"export_id": "a", "seq": 0, "rows": [[1, 2]], "last": true}'),
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


@pytest.mark.long
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_memory_does_not_grow_with_the_dead_letters(
    bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer, shell: Shell
) -> None:
    noise = os.urandom(100_000)
    await producer.send_and_wait(topics.dead_letters, noise, key=b"k")
    small = shell.peak_kib("dead-letters", "list", "--json")
    for _ in range(300):
        await producer.send(topics.dead_letters, noise, key=b"k")
    await producer.flush()
    large = shell.peak_kib("dead-letters", "list", "--json")
    assert large - small < 24 * 1024, (small, large)


async def test_over_http_they_are_listed_and_put_back_too(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    node: NodeProcess,
    shell: Shell,
) -> None:
    await dead_letter(upstream, producer, topics)
    letters = await committed(bootstrap_servers, topics.dead_letters, at_least=5)
    async with http_client(node.url, timeout=30) as client:
        listed = (await client.get("/dead-letters")).json()["dead_letters"]
        printed = shell.run("dead-letters", "list", "--json").stdout.splitlines()
        assert listed == [json.loads(line) for line in printed]
        late = (await client.get(f"/dead-letters?from={listed[-1]['time']}")).json()
        assert listed[-1] in late["dead_letters"]
        place = f"{letters[0].partition}:{letters[0].offset}"
        sent = {"places": [place, "999:0"]}
        done = (await client.post("/dead-letters/requeue", json=sent)).json()
        assert (done["requeued"], done["refused"]) == (1, 1)
        await committed(bootstrap_servers, topics.dead_letters, at_least=6)
    audited = [line for line in node.lines() if line["event"] == "audit"]
    assert [(line["action"], line["letters"]) for line in audited] == [("requeue", 1)]
