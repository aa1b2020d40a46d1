"""One id over HTTP from several sides at once, and uploads that break off: on real nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.embedded import EmbeddedKafka
from schemas.completions import ExportCompleted
from schemas.requests import CancelRequested
from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events, requests_of
from tests.support.topics import created_topics
from tests.support.upstream import rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROUNDS = 10
TOKENS = "of-alice:alice,of-bob:bob"
NDJSON = {"Content-Type": "application/x-ndjson"}


def asking(node: NodeProcess, user: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer of-{user}"} if user else {}
    return http_client(node.url, headers=headers, timeout=60)


async def run(client: httpx.AsyncClient, query: str = "", **fields: Any) -> httpx.Response:
    body = {"format": "csv", "columns": ["n", "t"], "data": rows_of(0, 10), **fields}
    return await client.post(f"/export/run{query}", json=body)


async def test_two_users_and_one_id_at_once(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    """On one node and on two: nobody gets another's event, and the loser learns it."""
    settings = {"API_TOKENS": TOKENS}
    async with (
        node_on(bootstrap_servers, topics, tmp_path, **settings) as first,
        node_on(bootstrap_servers, topics, tmp_path, "second.log", **settings) as second,
        asking(first, "alice") as alice,
        asking(first, "bob") as near,
        asking(second, "bob") as far,
    ):
        winners = set()
        for number in range(2 * ROUNDS):
            bob, export_id = (near, far)[number % 2], f"e-{number}"
            answers = await asyncio.gather(
                run(alice, "?wait=30", export_id=export_id, data=[["alice", 1]]),
                run(bob, "?wait=30", export_id=export_id, data=[["bob", 1]]),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 409], answers
            for user, client, answer in zip(("alice", "bob"), (alice, bob), answers, strict=True):
                if answer.status_code == 200:
                    winners.add(user)
                    assert answer.json()["user"] == user
                    file = await client.get(f"/export/download/{export_id}")
                    assert file.text == f"n,t\r\n{user},1\r\n"
                else:
                    assert "alice" not in answer.text.replace(export_id, "")
                    for path in ("status", "download"):
                        hidden = await client.get(f"/export/{path}/{export_id}")
                        assert hidden.status_code == 404
        assert winners
    done = by_id(await events(bootstrap_servers, topics.completions, at_least=2 * ROUNDS))
    assert {type(event) for event in done.values()} == {ExportCompleted}


async def test_one_user_and_two_exports_of_one_id_at_once(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path) as first,
        node_on(bootstrap_servers, topics, tmp_path, "second.log") as second,
        asking(first) as one,
        asking(second) as two,
    ):
        for number in range(ROUNDS):
            export_id = f"e-{number}"
            csv, pdf = await asyncio.gather(
                run(one, "?wait=30", export_id=export_id),
                run(two, "?wait=30", export_id=export_id, format="pdf"),
            )
            assert sorted([csv.status_code, pdf.status_code]) == [200, 409], (csv.text, pdf.text)
            winner, loser = (csv, pdf) if csv.status_code == 200 else (pdf, csv)
            assert winner.json()["format"] == ("csv" if winner is csv else "pdf")
            assert loser.json()["errors"][0]["field"] == "format"
            same = await run(two, "?wait=30", export_id=export_id, format=winner.json()["format"])
            assert (same.status_code, same.json()) == (200, winner.json())
            other = await run(one, export_id=export_id, columns=["t", "n"])
            assert other.status_code == 409


async def test_an_event_says_why_an_upload_was_cancelled(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:

        async def requested(export_id: str) -> None:
            async with asyncio.timeout(20):
                while (await client.get(f"/export/status/{export_id}")).status_code != 200:
                    await asyncio.sleep(0.1)

        async def wrong_later() -> AsyncIterator[bytes]:
            yield b'[1,"a"]\n[2,"b"]\n'
            await requested("late")
            yield b'[3]\n[4,"d"]\n'

        async def broken_off() -> AsyncIterator[bytes]:
            yield b'[1,"a"]\n'
            await requested("broken")
            raise OSError("the client dies")

        query = "format=csv&columns=n,t&export_id"
        url = f"/export/run?{query}"
        beginning = await client.post(f"{url}=early", content=b'[2]\n[1,"a"]\n', headers=NDJSON)
        assert beginning.json()["errors"][0]["field"] == "line 1"
        right = await client.post(f"{url}=early&wait=30", content=b'[1,"a"]\n', headers=NDJSON)
        assert right.json()["type"] == "export.completed", "the id was not used up"
        wrong = await client.post(f"{url}=late", content=wrong_later(), headers=NDJSON)
        assert wrong.json()["errors"][0]["field"] == "line 3"
        with suppress(OSError):
            await client.post(f"{url}=broken", content=broken_off(), headers=NDJSON)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=3))
    assert {export_id: getattr(event, "message", None) for export_id, event in done.items()} == {
        "early": None,
        "late": "line 3: has 1 cells for 2 columns",
        "broken": "the upload broke off",
    }


async def test_after_a_503_the_same_id_is_accepted_and_never_cancelled_then(
    mortal_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """The broker is killed and comes back; what is accepted under a repeated id completes."""
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with (
        created_topics(servers, 4) as topics,
        node_on(servers, topics, tmp_path) as first,
        node_on(servers, topics, tmp_path, "second.log") as second,
        asking(first) as one,
        asking(second) as two,
    ):
        for client in (one, two):  # publishers that are connected, as in ordinary times
            assert (await run(client, "?wait=30")).status_code == 200
        kafka.kill()
        clients = {f"e-{number}": (one, two)[number % 2] for number in range(6)}
        running = [run(client, export_id=name) for name, client in clients.items()]
        assert {a.status_code for a in await asyncio.gather(*running)} == {503}
        kafka.start()

        async def insist(name: str, client: httpx.AsyncClient) -> dict[str, Any]:
            async with asyncio.timeout(90):
                while True:
                    answer = await run(client, "?wait=30", export_id=name)
                    if answer.status_code == 200:
                        return dict(answer.json())
                    assert answer.status_code in {503, 202}, answer.text
                    await asyncio.sleep(0.3)

        repeated = [insist(name, client) for name, client in clients.items()]
        ends = await asyncio.gather(*repeated)
        assert {end["type"] for end in ends} == {"export.completed"}, ends
        requests = await requests_of(servers, topics)
        assert [one for one in requests if isinstance(one, CancelRequested)] == []
        lines = [*first.lines(), *second.lines()]
        assert [line for line in lines if line["level"] == "error"] == []
