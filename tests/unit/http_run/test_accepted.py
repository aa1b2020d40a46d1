"""``POST /export/run``: what comes over HTTP is published, once."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.http import World, serving_world
from tests.support.http_run import (
    ALICE,
    BOB,
    GOOD,
    JSON,
    TOKENS,
    named,
    run,
    run_as,
    upload,
)
from tests.support.serving import assert_problem
from tests.support.waiting import until

# What is accepted


async def test_commas_in_column_keys_are_none_of_its_structure(world: World) -> None:
    columns = [f"{n}" + "," * 990 for n in range(256)]
    body = {"format": "csv", "columns": columns, "data": []}
    async with serving_world(world, max_body_bytes=4_000_000) as client:
        assert (await client.post("/export/run", json=body)).status_code == 202
    assert len(world.requests) == 1


async def test_json_is_published_whole(client: httpx.AsyncClient, world: World) -> None:
    more: dict[str, Any] = {"export_id": "e-1", "title": "T", "user": "alice", "priority": 9}
    more["expires_in_seconds"] = 60
    answer = await run(client, options={"delimiter": ";"}, **more)
    assert answer.status_code == 202
    assert answer.json() == {
        "export_id": "e-1",
        "status_url": "/export/status/e-1",
        "download_url": "/export/download/e-1",
    }
    (request,) = world.requested()
    assert request.model_dump(include=set(more)) == more
    assert request.options.model_dump()["delimiter"] == ";"
    assert world.published_rows("e-1") == [[1, "x"], {"b": 2}]
    assert world.is_finished("e-1")


async def test_ndjson_is_published_whole(client: httpx.AsyncClient, world: World) -> None:
    options = quote('{"delimiter": ";"}')
    query = "format=csv&columns=a,%22b,c%22&export_id=e-1&title=%C3%9C&user=u&priority=0"
    query += "&expires_in_seconds=60"
    body = b'\xef\xbb\xbf[1, "x"]\r\n\n  \n{"b,c": 2}'
    answer = await upload(client, body, f"{query}&options={options}")
    assert (answer.status_code, answer.json()["export_id"]) == (202, "e-1")
    (request,) = world.requested()
    assert [column.key for column in request.columns] == ["a", "b,c"]
    assert (request.title, request.user, request.priority) == ("Ü", "u", 0)
    assert request.expires_in_seconds == 60
    assert world.published_rows("e-1") == [[1, "x"], {"b,c": 2}]
    assert world.is_finished("e-1")


async def test_columns_of_ndjson_may_be_json(client: httpx.AsyncClient, world: World) -> None:
    columns = [{"key": "a", "header": "A (€)", "width": 80}, "b"]
    answer = await upload(client, b"[1,2]", f"format=pdf&columns={quote(json.dumps(columns))}")
    assert answer.status_code == 202
    (request,) = world.requested()
    assert [column.header for column in request.columns] == ["A (€)", "b"]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400])
async def test_integers_keep_their_digits(
    client: httpx.AsyncClient, world: World, number: str
) -> None:
    body = f'{{"export_id":"j","format":"csv","columns":["a"],"data":[[{number}]]}}'
    assert (await client.post("/export/run", content=body, headers=JSON)).status_code == 202
    sent = await upload(client, f"[{number}]\n", "export_id=n&format=csv&columns=a")
    assert sent.status_code == 202
    assert world.published_rows("j") == world.published_rows("n") == [[int(number)]]


async def test_no_rows_are_an_export_too(client: httpx.AsyncClient, world: World) -> None:
    assert (await run(client, export_id="j", data=[])).status_code == 202
    assert (await upload(client, b"", "export_id=n&format=csv&columns=a")).status_code == 202
    assert world.is_finished("j")
    assert world.is_finished("n")


async def test_ids_are_made_where_none_is_given(client: httpx.AsyncClient, world: World) -> None:
    answers = [await run(client), await run(client), await upload(client, b"[1,2]")]
    ids = [answer.json()["export_id"] for answer in answers]
    assert len(set(ids)) == 3
    assert [request.export_id for request in world.requested()] == ids


async def test_many_rows_are_many_batches(world: World) -> None:
    rows = [[number, "x" * 100] for number in range(5_000)]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    async with serving_world(world) as client:
        assert (await run(client, export_id="j", data=rows)).status_code == 202
        query = "export_id=n&format=csv&columns=a,b"
        assert (await upload(client, lines, query)).status_code == 202
    assert world.published_rows("j") == world.published_rows("n") == rows


async def test_rows_that_come_slowly_and_steadily_are_published_as_they_come(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.run._GATHERED_SECONDS", 0.0)

    def has_published(count: int) -> bool:
        return len(world.published_rows("e-1")) == count

    async def steadily() -> AsyncIterator[bytes]:
        for sent in range(1, 6):
            yield b"[%d,2]\n" % sent
            await until(partial(has_published, sent))

    query = "export_id=e-1&format=csv&columns=a,b"
    assert (await upload(client, steadily(), query)).status_code == 202
    assert world.published_rows("e-1") == [[sent, 2] for sent in range(1, 6)]


# The same id again


async def test_the_same_id_answers_the_same_and_is_published_once(
    client: httpx.AsyncClient, world: World
) -> None:
    first = await run(client, export_id="e-1")
    assert (await run(client, export_id="e-1")).json() == first.json()
    world.end("e-1")
    query = "export_id=e-1&format=csv&columns=a,b"
    for answer in (await run(client, export_id="e-1"), await upload(client, b"[1,2]", query)):
        assert (answer.status_code, answer.json()) == (202, first.json())
    assert len(world.requests) == 1
    assert len(world.published_rows("e-1")) == 2


async def test_the_same_id_at_the_same_time_is_published_once(
    client: httpx.AsyncClient, world: World
) -> None:
    world.room.clear()
    first = asyncio.create_task(run(client, export_id="e-1", data=[[0, 0]]))
    await until(lambda: world.waiting == 1)
    assert (await run(client, export_id="e-1", data=[[1, 0]])).status_code == 202
    world.room.set()
    assert (await first).status_code == 202
    assert len(world.requests) == 1
    assert len(world.published_rows("e-1")) == 1
    assert world.cancelled() == []


async def test_who_lost_the_race_of_two_nodes_sends_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    """Another node's request of the id got into the topic between our question and our request."""
    world.room.clear()
    answer = asyncio.create_task(run(client, export_id="e-1"))
    await until(lambda: world.waiting == 1)
    world.others["e-1"] = "anonymous"
    world.room.set()
    assert (await answer).status_code == 202
    assert world.records == []
    assert world.cancelled() == []


DIFFERING: list[tuple[dict[str, Any], list[str]]] = [
    ({"format": "pdf"}, ["format", "options"]),
    ({"columns": ["b", "a"]}, ["columns"]),
    ({"columns": ["a", {"key": "b", "header": "B"}]}, ["columns"]),
    ({"options": {"delimiter": ";"}}, ["options"]),
    ({"user": "bob"}, []),
    ({"user": "bob", "format": "pdf"}, []),
]


@pytest.mark.parametrize(("change", "fields"), DIFFERING)
async def test_the_id_of_another_export_is_a_conflict(
    client: httpx.AsyncClient, world: World, change: dict[str, Any], fields: list[str]
) -> None:
    async def conflict() -> list[str]:
        problem = assert_problem(await run(client, export_id="e-1", **{"data": [], **change}), 409)
        return [error["field"] for error in problem.get("errors", [])]

    world.room.clear()
    first = asyncio.create_task(run(client, export_id="e-1"))
    await until(lambda: world.waiting == 1)
    assert await conflict() == fields, "while this node publishes it"
    world.room.set()
    assert (await first).status_code == 202
    assert await conflict() == fields, "while it is unfinished"
    world.end("e-1")
    assert (await conflict())[:1] in (fields[:1], []), "after its end"
    same: dict[str, Any] = {
        "columns": ["a", {"key": "b", "header": "b"}],
        "title": "T",
        "priority": 1,
        "expires_in_seconds": 1,
    }
    assert (await run(client, export_id="e-1", **same)).status_code == 202
    assert len(world.requests) == 1


async def test_an_end_is_compared_by_itself_where_kafka_has_no_request_any_more(
    client: httpx.AsyncClient, world: World
) -> None:
    world.others["e-1"] = "anonymous"
    world.end("e-1")
    assert (await run(client, export_id="e-1")).status_code == 202
    for change in ({"format": "pdf"}, {"user": "bob"}):
        assert_problem(await run(client, export_id="e-1", **change), 409)


async def test_who_lost_the_race_to_another_export_learns_it(
    client: httpx.AsyncClient, world: World
) -> None:
    world.room.clear()
    answer = asyncio.create_task(run(client, export_id="e-1"))
    await until(lambda: world.waiting == 1)
    world.others["e-1"] = "mallory"
    world.room.set()
    assert_problem(await answer, 409)
    assert world.records == []
    assert world.cancelled() == []


async def test_columns_may_choose_of_what_an_object_has(
    client: httpx.AsyncClient, world: World
) -> None:
    rows = b'{"c": 9, "b": 1, "a": "x", "d": {}}\n{"e": [1]}\n[1, 2]\n'
    query = "format=csv&columns=a,b&export_id=e-1"
    assert set(named(await upload(client, rows, query))) == {"line 1"}
    assert world.requests == []
    assert (await upload(client, rows, f"{query}&extra=ignore")).status_code == 202
    assert world.published_rows("e-1") == [{"b": 1, "a": "x"}, {}, [1, 2]]
    misshapen = await upload(client, b"[1,2,3]\n", "format=csv&columns=a,b&extra=ignore")
    assert set(named(misshapen)) == {"line 1"}
    assert set(named(await run(client, extra="ignore"))) == {"extra"}, "of NDJSON only"


# Waiting


async def test_wait_answers_with_the_terminal_event(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = asyncio.create_task(run(client, "?wait=10", export_id="e-1"))
    await until(lambda: world.is_finished("e-1"))
    world.end("e-1", "failed")
    event = await answer
    assert event.status_code == 200
    assert event.headers["content-type"] == "application/json"
    assert event.json() == json.loads(world.storage._manifest("e-1").read_bytes())
    again = await upload(client, b"", "export_id=e-1&format=csv&columns=a,b&wait=0.5")
    assert (again.status_code, again.json()) == (200, event.json())


async def test_wait_names_the_file_of_one_that_completed(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = asyncio.create_task(run(client, "?wait=10", export_id="e-1"))
    await until(lambda: world.is_finished("e-1"))
    world.end("e-1", content=b"a,b\r\n")
    event = (await answer).json()
    assert (await client.get(event["download_url"])).content == b"a,b\r\n"
    del event["download_url"]
    assert event == json.loads(world.storage._manifest("e-1").read_bytes())


@pytest.mark.parametrize("wait", ["0", "0.2", "00.20"])
async def test_wait_is_over_when_time_runs_out(client: httpx.AsyncClient, wait: str) -> None:
    answer = await run(client, f"?wait={wait}", export_id="e-1")
    assert (answer.status_code, set(answer.json())) == (
        202,
        {"export_id", "status_url", "download_url"},
    )


async def test_wait_outlives_an_outage_of_kafka(client: httpx.AsyncClient, world: World) -> None:
    answer = asyncio.create_task(run(client, "?wait=10", export_id="e-1"))
    await until(lambda: world.is_finished("e-1"))
    world.is_down = True
    world.end("e-1")
    assert (await answer).status_code == 200


# The queue


async def test_the_user_is_the_tokens(world: World) -> None:
    async with serving_world(world, **TOKENS) as client:
        client.headers.update(ALICE)
        assert (await run(client, export_id="j")).status_code == 202
        assert (await run(client, export_id="k", user="alice")).status_code == 202
        assert (await upload(client, b"[1,2]")).status_code == 202
        found = named(await run(client, user="bob", priority=11))
        assert set(found) == {"user", "priority"}
        query = "format=csv&columns=a&user=bob"
        assert set(named(await upload(client, b"[1]", query))) == {"user"}
    assert {request.user for request in world.requests if hasattr(request, "user")} == {"alice"}


async def test_an_id_of_another_user_is_taken(world: World) -> None:
    taken = "the id 'e-1' is another export's: use a new one"
    async with serving_world(world, **TOKENS) as client:
        await run_as(client, ALICE, "e-1")
        assert "errors" not in assert_problem(await run_as(client, BOB, "e-1"), 409, taken)
        world.end("e-1")
        assert "errors" not in assert_problem(await run_as(client, BOB, "e-1"), 409, taken)
        assert (await run_as(client, ALICE, "e-1")).status_code == 202
    assert len(world.requests) == 1


async def test_without_a_token_nothing_is_read(world: World) -> None:
    async with serving_world(world, **TOKENS) as client:
        for answer in (await run(client), await upload(client, b"[1,2]")):
            assert_problem(answer, 401)
    assert world.requests == []


# What it holds


async def test_the_text_of_a_large_body_is_not_held_while_it_is_published(world: World) -> None:
    rows = [["x" * 900] for _ in range(3_000)]
    body = json.dumps({**GOOD, "columns": ["a"], "export_id": "e-1", "data": rows}).encode()
    async with serving_world(world) as client:
        world.room.clear()
        answer = asyncio.create_task(client.post("/export/run", content=body, headers=JSON))
        size, body = len(body), b""
        await until(lambda: world.waiting > 0)
        gc.collect()
        large = [len(text) for text in _texts(b"x" * 900) if len(text) > size // 2]
        assert large == [size]  # the client's
        world.room.set()
        assert (await answer).status_code == 202
    assert world.published_rows("e-1") == rows


def _texts(having: bytes) -> list[bytes]:
    """Those that something holds, each once; not what only frames hold, or other tests do."""
    held = {
        id(text): text
        for one in gc.get_objects()
        for text in gc.get_referents(one)
        if type(text) is bytes and having in text
    }
    return list(held.values())
