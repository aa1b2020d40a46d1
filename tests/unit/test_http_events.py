"""``GET /export/events``: what clients get, from when on, and when their stream ends."""

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.access.gate import AccessGate
from sluice.access.watched_tokens import WatchedTokens
from sluice.http import connections, events, live
from sluice.http.server import HttpServer
from tests.support.clients import http_client
from tests.support.http import World, app_of, serving_world
from tests.support.listing import ended_export
from tests.support.serving import assert_problem
from tests.support.sse import Stream, listening
from tests.support.waiting import until

NOON = 1_795_255_200_000


async def test_states_progress_and_the_end(client: httpx.AsyncClient, world: World) -> None:
    world.request("before")
    async with listening(client) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-store"
        world.request("e")
        await until(lambda: stream.shown() == [("e", "queued")])
        world.begun.add("e")
        await until(lambda: stream.shown()[1:] == [("e", "running")])
        world.rows["e"] = (7, 70)
        await until(lambda: stream.shown("progress") == [("e", "running")])
        assert stream.messages[-1].keys() == {"type", *await _fields(client)}
        assert (stream.messages[-1]["rows"], stream.messages[-1]["bytes"]) == (7, 70)
        world.publish_end(ended_export("e", NOON))
        await until(lambda: stream.shown()[2:] == [("e", "completed")])
        # It is still unfinished by the commits that were read last: that is no change.
        await asyncio.sleep(0.1)
        assert len(stream.messages) == 4


async def test_it_runs_once_rows_are_in_its_file(client: httpx.AsyncClient, world: World) -> None:
    async with listening(client) as stream:
        world.request("e")
        await until(lambda: stream.shown() == [("e", "queued")])
        world.rows["e"] = (7, 70)
        await until(lambda: stream.shown("state")[1:] == [("e", "running")])
        assert stream.messages[-1]["rows"] == 7
        assert stream.shown("progress") == []


async def _fields(client: httpx.AsyncClient) -> Any:
    return (await client.get("/export")).json()["exports"][0].keys()


async def test_an_end_comes_within_a_moment_though_looks_are_rare(world: World) -> None:
    async with serving_world(world) as client, listening(client) as stream:
        began = time.monotonic()
        world.publish_end(ended_export("e", NOON))
        await until(lambda: stream.shown() == [("e", "completed")])
        assert time.monotonic() - began < 0.9


async def test_a_client_that_comes_back_goes_on(client: httpx.AsyncClient, world: World) -> None:
    async with listening(client) as stream:
        world.publish_end(ended_export("one", NOON))
        await until(lambda: stream.shown() == [("one", "completed")])
    world.publish_end(ended_export("two", NOON))
    async with listening(client, stream.last_id) as again:
        await until(lambda: again.shown() == [("two", "completed")])
    async with listening(client, "0123456789abcdef-3") as stranger:
        await until(lambda: bool(stranger.messages))
        assert stranger.messages == [{"type": "reload"}]
        world.publish_end(ended_export("three", NOON))
        await until(lambda: stranger.shown("state") == [("three", "completed")])


async def test_each_sees_their_own_and_a_revoked_token_ends_the_stream(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    file = tmp_path / "tokens.txt"
    lines = [
        f"{hashlib.sha256(token.encode()).hexdigest()}:{user}:{role}\n"
        for token, user, role in (
            ("a", "alice", "user"),
            ("b", "bob", "user"),
            ("o", "o", "operator"),
        )
    ]
    file.write_text("".join(lines))
    watched = WatchedTokens(file, look_seconds=0.02)
    async with watched, serving_world(world, gate=AccessGate({}, watched)) as client:
        assert_problem(await client.get("/export/events"), 401)
        async with (
            listening(client, Authorization="Bearer a") as alice,
            listening(client, Authorization="Bearer b") as bob,
            listening(client, Authorization="Bearer o") as operator,
        ):
            world.publish_end(ended_export("hers", NOON))
            world.request("his", "bob")
            both = [("hers", "completed"), ("his", "queued")]
            await until(lambda: sorted(operator.shown()) == both)
            await until(lambda: alice.shown() and bob.shown())
            seen = alice.comments, bob.comments
            await until(lambda: alice.comments > seen[0] + 1 and bob.comments > seen[1] + 1)
            assert (alice.shown(), bob.shown()) == (both[:1], both[1:])
            file.write_text("".join(lines[1:]))
            await until(lambda: alice.ended)
            assert not bob.ended


async def test_heartbeats_are_comments(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    async with listening(client) as stream:
        await until(lambda: stream.comments > 2)
        assert stream.messages == []


async def test_what_others_do_puts_no_heartbeat_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 1.2)
    monkeypatch.setattr(live, "_WAKE_SECONDS", 1.0)
    tokens = {"a": "alice"}
    async with (
        serving_world(world, users_by_token=tokens) as client,
        listening(client, Authorization="Bearer a") as alice,
    ):
        began = time.monotonic()
        world.publish_end(replace(ended_export("his", NOON), user="bob"))
        await until(lambda: alice.comments > 0)
        assert time.monotonic() - began < 1.9, "it came 1.2 s after his end, which was after 1 s"
        assert alice.messages == []


async def test_a_stream_ends_cleanly_when_the_node_stops(world: World) -> None:
    async with app_of(world) as app, http_client() as client:
        async with HttpServer(app, "127.0.0.1", 0) as server:
            client.base_url = httpx.URL(server.url)
            streams = await _open(client)
            began = time.monotonic()
        assert time.monotonic() - began < 1.2
        await until(lambda: streams.ended)


async def _open(client: httpx.AsyncClient) -> Stream:
    opened: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    async def stay() -> None:
        async with listening(client) as stream:
            opened.set_result(stream)
            await until(lambda: stream.ended)

    _TASKS.append(asyncio.create_task(stay()))
    return await opened


_TASKS: list[asyncio.Task[None]] = []


async def test_without_kafka_there_is_no_stream(client: httpx.AsyncClient, world: World) -> None:
    world.is_down = True
    assert_problem(await client.get("/export/events"), 503)


async def test_what_happens_while_kafka_is_away_comes_after_it(
    client: httpx.AsyncClient, world: World
) -> None:
    async with listening(client) as stream:
        world.is_down = True
        world.request("e")
        await asyncio.sleep(0.1)
        assert stream.messages == []
        world.is_down = False
        await until(lambda: stream.shown() == [("e", "queued")])


async def test_streams_have_a_bound_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "_MOST_STREAMS", 4)
    clients = [http_client() for _ in range(5)]
    async with app_of(world) as app, HttpServer(app, "127.0.0.1", 0) as server:
        for client in clients:
            client.base_url = httpx.URL(server.url)
        async with (
            listening(clients[0]) as first,
            listening(clients[1]),
            listening(clients[2]),
            listening(clients[3]),
        ):
            problem = assert_problem(await clients[4].get("/export/events"), 503)
            assert problem["detail"] == "too many clients listen to this node's events"
            # The door that the connections' bound closes stays closed: two, and no more.
            world.room.clear()
            body = {"format": "csv", "columns": ["a"], "data": []}
            held = [http_client(server.url) for _ in range(2)]
            waiting = [asyncio.create_task(one.post("/export/run", json=body)) for one in held]
            await until(lambda: world.waiting == 2)
            async with http_client(server.url) as late:
                assert_problem(await late.get("/export/status"), 503)
            world.room.set()
            for answer in waiting:
                assert (await answer).status_code == 202
            world.publish_end(ended_export("e", NOON))
            await until(lambda: ("e", "completed") in first.shown())
        async with listening(clients[4]) as freed:
            assert freed.status == 200
        for one in (*clients, *held):
            await one.aclose()


def test_more_descriptors_are_used_where_the_system_grants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [1_024, 4_096]

    class Resource:
        RLIMIT_NOFILE, RLIM_INFINITY = 7, -1

        @staticmethod
        def getrlimit(_kind: int) -> tuple[int, int]:
            return limits[0], limits[1]

        @staticmethod
        def setrlimit(_kind: int, wanted: tuple[int, int]) -> None:
            limits[:] = wanted

    monkeypatch.setattr(connections, "resource", Resource)
    assert (connections.most_streams(), connections.most_connections()) == (256, 341)
    connections.raise_descriptor_limit()
    assert limits == [4_096, 4_096]
    assert (connections.most_streams(), connections.most_connections()) == (1_024, 500)
    limits[1] = -1
    connections.raise_descriptor_limit()
    assert limits == [8_192, -1]
    assert connections.most_streams() == 1_200
