"""``POST /export/run``: what comes over HTTP is published, once, or refused by name."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from consumer.errors import StorageUnavailable
from sluice.http import broken, publishing
from tests.support.http import World, assert_problem, serving_world

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD: dict[str, Any] = {"format": "csv", "columns": ["a", "b"], "data": [[1, "x"], {"b": 2}]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_world(world, max_body_bytes=4_000) as client:
        yield client


async def run(client: httpx.AsyncClient, query: str = "", **fields: Any) -> httpx.Response:
    return await client.post(f"/export/run{query}", json={**GOOD, **fields})


async def upload(
    client: httpx.AsyncClient, body: Any, query: str = "format=csv&columns=a,b", **headers: str
) -> httpx.Response:
    return await client.post(f"/export/run?{query}", content=body, headers={**NDJSON, **headers})


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def named(answer: httpx.Response) -> dict[str, str]:
    """What a refusal says of each field."""
    problem = assert_problem(answer, 400)
    return {error["field"]: error["message"] for error in problem["errors"]}


# What is accepted


async def test_json_is_published_whole(client: httpx.AsyncClient, world: World) -> None:
    more: dict[str, Any] = {"export_id": "e-1", "title": "T", "user": "alice", "priority": 9}
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
    body = b'\xef\xbb\xbf[1, "x"]\r\n\n  \n{"b,c": 2}'
    answer = await upload(client, body, f"{query}&options={options}")
    assert (answer.status_code, answer.json()["export_id"]) == (202, "e-1")
    (request,) = world.requested()
    assert [column.key for column in request.columns] == ["a", "b,c"]
    assert (request.title, request.user, request.priority) == ("Ü", "u", 0)
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


async def test_who_lost_the_race_to_another_export_is_told(
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


# What is refused


WRONG_QUERIES = [
    ("wait=-1", "wait"),
    ("wait=nan", "wait"),
    ("wait=inf", "wait"),
    ("wait=1e3", "wait"),
    ("wait=", "wait"),
    ("wait=3601", "wait"),
    ("wait=1_0", "wait"),
    ("wait=1&wait=1", "wait"),
    ("wait=%D9%A1", "wait"),
    ("foo=1", "foo"),
    ("format=csv", "format"),
    ("%ff=1", ""),
]


async def test_a_request_that_no_message_holds_is_refused(world: World) -> None:
    columns = [{"key": f"{n}", "header": "\N{GRINNING FACE}" * 1_000} for n in range(256)]
    body = {"format": "csv", "columns": columns, "data": []}
    async with serving_world(world, max_body_bytes=4_000_000) as client:
        problem = assert_problem(await client.post("/export/run", json=body), 400)
    assert "1,000,000 are sent" in problem["errors"][0]["message"]
    assert world.requests == []


@pytest.mark.parametrize(("query", "field"), WRONG_QUERIES)
async def test_a_wrong_query_beside_json(
    client: httpx.AsyncClient, world: World, query: str, field: str
) -> None:
    assert set(named(await run(client, f"?{query}"))) == {field}
    assert world.requests == []


WRONG_BODIES: list[tuple[str | bytes, dict[str, str]]] = [
    (b"", {"": "malformed JSON"}),
    (b"{", {"": "malformed JSON"}),
    (b"null", {"": "the body must be a JSON object"}),
    (b"[]", {"": "the body must be a JSON object"}),
    (b'{"a":"\xff"}', {"": "malformed JSON"}),
    (b'{"a":"\\ud800"}', {"": "malformed JSON"}),
    (b'{"format": NaN}', {"": "malformed JSON"}),
    (b'{"format": 1e999}', {"": "malformed JSON"}),
    (b"[" * 2_000 + b"]" * 2_000, {"": "malformed JSON"}),
    (b"\x00", {"": "malformed JSON"}),
    (b"{}", {"format": "is missing", "columns": "is missing", "data": "is missing"}),
    (
        (
            '{"format":"xls","columns":["a","a"],"data":[[1,2]],"title":1,"user":"","priority":10,'
            '"export_id":"a/b","options":{"x":1},"type":"t","requested_at":null,"z":0}'
        ),
        {
            "format": "must be 'csv' or 'pdf'",
            "columns": "must have unique keys; more than once: 'a'",
            "title": "must be a string",
            "user": "must have at least 1 character",
            "priority": "must be less than or equal to 9",
            "export_id": "must match pattern",
            "options": "'x' is not an option of any format",
            "type": "is not a field of the contract",
            "requested_at": "is not a field of the contract",
            "z": "is not a field of the contract",
        },
    ),
    (
        (
            '{"format":"csv","columns":["a","b"],"options":{"delimiter":"ab","q":1},'
            '"data":[[1,2],[1],{"c":1},7,{"a":1},null,"x"]}'
        ),
        {
            "options.delimiter": "must have at most 1 character",
            "options.q": "is not a field of the contract",
            "data.1": "has 1 cells for 2 columns",
            "data.2": "'c' is no column",
            "data.3": "must be an array or an object",
            "data.5": "must be an array or an object",
            "data.6": "must be an array or an object",
        },
    ),
    (
        '{"format":"csv","columns":["a","b"],"data":[[1,2],[1],{"c":1},7,{"a":1}]}',
        {
            "data.1": "has 1 cells for 2 columns",
            "data.2": "'c' is no column",
            "data.3": "must be an array or an object",
        },
    ),
    ('{"format":"csv","columns":["a"],"data":{}}', {"data": "must be an array"}),
    ('{"format":"csv","columns":["a"],"data":null}', {"data": "must be an array"}),
    ('{"format":"csv","columns":["a"],"data":[],"user":null}', {"user": "must be a string"}),
    ('{"format":"csv","columns":["a"],"data":[],"user":"a\\u0000"}', {"user": "must not hold"}),
    (b'{"title":"caf\xe9"}', {"": "malformed JSON: byte 13 (0xe9) is not UTF-8"}),
    ('{"title":"café",}', {"": "malformed JSON: trailing comma is not allowed at byte 16"}),
    ('{"format":"csv","columns":["a"],"data":[],"export_id":null}', {"export_id": "must be"}),
    ('{"format":"csv","columns":["a"],"data":[],"export_id":".."}', {"export_id": "must match"}),
    ('{"format":"csv","columns":["a"],"data":[],"export_id":"e\\n"}', {"export_id": "must match"}),
    (
        '{"format":"csv","columns":["a"],"data":[],"export_id":"%s"}' % ("e" * 129),
        {"export_id": "must match"},
    ),
    ('{"format":"csv","columns":[],"data":[]}', {"columns": "must have at least 1 item"}),
    ('{"format":"csv","columns":[{"key":1}],"data":[]}', {"columns.0.key": "must be a string"}),
    ('{"format":"csv","columns":["a"],"data":[],"priority":5.0}', {"priority": "must be an int"}),
    ('{"format":"csv","format":"xls","columns":["a"],"data":[]}', {"format": "must be"}),
]


@pytest.mark.parametrize(("body", "errors"), WRONG_BODIES)
async def test_a_wrong_body_names_every_wrong_field(
    world: World, body: str | bytes, errors: dict[str, str]
) -> None:
    async with serving_world(world) as client:
        found = named(await client.post("/export/run", content=body, headers=JSON))
    assert set(found) == set(errors)
    assert all(found[field].startswith(message) for field, message in errors.items()), found
    assert world.requests == []


async def test_a_body_without_one_right_row_has_a_bounded_answer(world: World) -> None:
    async with serving_world(world) as client:
        found = named(await run(client, data=[0] * 100_000))
    assert len(found) == 1_001
    assert found[""] == "and 99,000 more fields are wrong"


async def test_a_row_that_fits_no_message_is_named(world: World) -> None:
    grows = [1e15] * 60_000  # 18 characters each where four were sent
    async with serving_world(world) as client:
        rows = [["x" * 999_000, 0], [grows, 0], ["x" * 1_000_000, 0]]
        found = named(await run(client, data=rows))
    assert set(found) == {"data.1", "data.2"}
    assert found["data.2"] == "its 1,000,006 bytes don't fit a message; at most 1,000,000 do"


WRONG_QUERY_FIELDS = [
    ("", {"format", "columns"}),
    ("format=xls&columns=a,a&priority=x&options=%7B&export_id=..&foo=1", None),
    ("format=csv&columns=", {"columns"}),
    ("format=csv&columns=a&columns=b", {"columns"}),
    ("format=csv&columns=%5B%22a%22", {"columns"}),
    ("format=csv&columns=%22a", {"columns"}),
    ("format=csv&columns=a&options=%5B%5D", {"options"}),
    ("format=csv&columns=a&options=%7B%22delimiter%22:%22ab%22%7D", {"options.delimiter"}),
    ("format=csv&columns=a&data=%5B%5D", {"data"}),
    ("format=csv&columns=a&priority=5.5", {"priority"}),
    ("format=csv&columns=a&title=%ff", {""}),
    ("format=csv&columns=a&user=", {"user"}),
]


@pytest.mark.parametrize(("query", "fields"), WRONG_QUERY_FIELDS)
async def test_wrong_parameters_of_ndjson_are_named_before_anything_is_published(
    client: httpx.AsyncClient, world: World, query: str, fields: set[str] | None
) -> None:
    every = {"format", "columns", "priority", "options", "export_id", "foo"}
    assert set(named(await upload(client, b"[1]\n", query))) == (fields or every)
    assert world.requests == []


WRONG_LINES: list[tuple[bytes, str, str]] = [
    (b"[1,2]\n[1,2\n", "line 2", "malformed JSON"),
    (b"[1,2]\n\n7", "line 3", "must be an array or an object"),
    (b"[1,2],[3,4]\n", "line 1", "malformed JSON"),
    (b"[1,2]\n[1]\n", "line 2", "has 1 cells for 2 columns"),
    (b'[1,2]\n{"a":1,"c":2}\n', "line 2", "'c' is no column"),
    (b"[1,2]\n[\xff,2]\n", "line 2", "malformed JSON: byte 1 (0xff) is not UTF-8"),
    (b"[1,2]\n[NaN,2]\n", "line 2", "malformed JSON"),
    (b"[1,2]\n\x00\n", "line 2", "malformed JSON"),
    (b"[" * 3_000, "line 1", "malformed JSON"),
    (b"[1," + b"[" * 1_000 + b"]" * 1_000 + b"]", "line 1", ""),
    (b'["' + b"x" * 1_000_000 + b'",1]', "line 1", "its 1,000,006 bytes don't fit a message"),
    (b" " * (4 * 1024 * 1024 + 1), "line 1", "is longer than 4,194,304 bytes"),
]


@pytest.mark.parametrize(("body", "line", "message"), WRONG_LINES)
async def test_a_wrong_beginning_is_named_and_nothing_published(
    client: httpx.AsyncClient, world: World, body: bytes, line: str, message: str
) -> None:
    found = named(await upload(client, body, "export_id=n&format=csv&columns=a,b"))
    assert set(found) == {line}
    assert found[line].startswith(message)
    assert world.requests == []
    assert (await upload(client, b"[1,2]", "export_id=n&format=csv&columns=a,b")).status_code == 202


@pytest.mark.parametrize(("body", "line", "message"), WRONG_LINES)
async def test_a_wrong_line_is_named_and_the_export_cancelled(
    client: httpx.AsyncClient, world: World, body: bytes, line: str, message: str
) -> None:
    async def later() -> AsyncIterator[bytes]:
        yield b"[1,2]\n"
        await until(lambda: world.requests)
        yield body

    found = named(await upload(client, later(), "export_id=n&format=csv&columns=a,b"))
    number = int(line.removeprefix("line ")) + 1
    assert set(found) == {f"line {number}"}
    assert found[f"line {number}"].startswith(message)
    await until(lambda: world.cancelled() == ["n"])
    assert (world.reasons[0] or "").startswith(f"line {number}: {message}")
    assert not world.is_finished("n")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/csv",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonx",
        ";;;",
        "é",
    ],
)
async def test_another_content_type_is_refused(
    client: httpx.AsyncClient, world: World, content_type: str | None
) -> None:
    headers = {} if content_type is None else {b"Content-Type": content_type.encode("latin-1")}
    answer = await client.post("/export/run", content=b"{}", headers=headers)
    assert_problem(answer, 415)
    assert "application/x-ndjson" in answer.headers["accept-post"]
    assert world.requests == []


async def test_a_content_coding_is_refused(client: httpx.AsyncClient) -> None:
    assert_problem(await upload(client, b"\x1f\x8b", **{"Content-Encoding": "gzip"}), 415)


async def test_the_content_type_is_not_case_sensitive(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    answer = await client.post("/export/run", content=json.dumps(GOOD), headers=headers)
    assert answer.status_code == 202


async def test_a_json_body_has_a_bound_announced_or_not(
    client: httpx.AsyncClient, world: World
) -> None:
    assert_problem(await run(client, title="x" * 4_000), 413)

    async def chunked() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    answer = await client.post("/export/run", content=chunked(), headers=JSON)
    assert "4,000 bytes" in assert_problem(answer, 413)["detail"]
    assert world.requests == []
    fits = json.dumps(GOOD).encode().ljust(4_000)
    answer = await client.post("/export/run", content=fits, headers=JSON)
    assert answer.status_code == 202


async def test_ndjson_has_no_such_bound(client: httpx.AsyncClient, world: World) -> None:
    answer = await upload(client, b"[1,2]\n" * 10_000, "export_id=n&format=csv&columns=a,b")
    assert answer.status_code == 202
    assert len(world.published_rows("n")) == 10_000


# The queue


async def test_a_full_queue_refuses_and_says_when_to_come_back(world: World) -> None:
    async with serving_world(world, queue_limit=2) as client:
        world.others["elsewhere"] = "bob"
        assert (await run(client, export_id="e-1")).status_code == 202
        for answer in (await run(client, export_id="e-2"), await upload(client, b"[1,2]")):
            assert "SLUICE_QUEUE_LIMIT" in assert_problem(answer, 429)["detail"]
            assert int(answer.headers["retry-after"]) > 0
        assert (await run(client, export_id="e-1")).status_code == 202, "it is in already"
        world.end("e-1")
        assert (await run(client, export_id="e-2")).status_code == 202


async def test_uploads_that_begin_at_once_are_counted(world: World) -> None:
    async with serving_world(world, queue_limit=3) as client:
        world.room.clear()
        answers = [asyncio.create_task(run(client)) for _ in range(8)]
        await until(lambda: world.waiting == 3 and sum(one.done() for one in answers) == 5)
        world.room.set()
        statuses = sorted([(await answer).status_code for answer in answers])
    assert statuses == [202] * 3 + [429] * 5
    assert len(world.requests) == 3


async def test_a_refused_upload_leaves_its_place(world: World) -> None:
    async with serving_world(world, queue_limit=1) as client:
        assert_problem(await upload(client, b"[1", "export_id=n&format=csv&columns=a"), 400)
        world.end("n", "cancelled")
        assert (await run(client)).status_code == 202


# Kafka is away


async def test_without_kafka_it_is_unavailable(client: httpx.AsyncClient, world: World) -> None:
    world.is_down = True
    for answer in (await run(client), await run(client, export_id="a"), await upload(client, b"")):
        assert_problem(answer, 503)
        assert answer.headers["retry-after"]
    world.is_down = False
    assert (await run(client)).status_code == 202


async def test_kafka_goes_away_in_the_middle(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken, "_AGAIN_SECONDS", 0.01)
    world.refuses_records = True
    assert_problem(await run(client, export_id="e-1"), 503)
    assert world.cancelled() == ["e-1"]
    assert world.reasons == ["records: Kafka acknowledges nothing within 30 s"]
    world.refuses_records = False
    assert (await run(client, export_id="e-2")).status_code == 202
    assert world.publishers == 2, "none is used again after an error"


async def test_whatever_a_publisher_fails_at_the_next_one_is_tried(
    client: httpx.AsyncClient, world: World
) -> None:
    world.start_fails = RuntimeError("the secret of the inside")
    problem = assert_problem(await run(client), 503)
    assert "secret" not in str(problem)
    world.start_fails = None
    assert (await run(client)).status_code == 202


async def test_a_storage_that_does_not_answer_cancels_no_upload(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.run._LOOK_SECONDS", 0.0)
    looked = 0

    def manifest(_: str) -> None:
        nonlocal looked
        looked += 1
        raise StorageUnavailable("Stale file handle")

    writer = await raw_upload(client, 12)
    writer.write(b"[1]\n")
    await until(lambda: world.records)
    monkeypatch.setattr(world.storage, "manifest", manifest)
    writer.write(b"[2]\n")
    await until(lambda: looked)
    writer.write(b"[3]\n")
    await until(lambda: world.is_finished("n"))
    assert world.cancelled() == []
    assert world.published_rows("n") == [[1], [2], [3]]
    writer.close()


async def test_a_retry_goes_on_with_the_request_that_kafka_took_late(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_REQUEST_SECONDS", 0.2)
    world.held = asyncio.Event()
    for _ in range(2):
        assert_problem(await run(client, export_id="e-1"), 503, "Kafka doesn't answer")
    assert_problem(await run(client, export_id="e-1", title="another"), 503)
    world.held.set()
    assert (await run(client, export_id="e-1")).status_code == 202
    assert len(world.requests) == 1
    assert world.published_rows("e-1") == GOOD["data"]
    assert world.is_finished("e-1")


async def test_without_a_retry_a_late_request_is_cancelled_and_its_id_kept_until_the_end(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(broken, "_RETRY_SECONDS", 0.2)
    world.held = asyncio.Event()
    assert_problem(await run(client, export_id="e-1"), 503)
    world.held.set()
    await until(lambda: world.cancelled() == ["e-1"])
    assert world.reasons == ["Kafka doesn't answer"]
    detail = "an upload of this id broke off and is being cancelled"
    assert_problem(await run(client, export_id="e-1"), 503, detail)
    world.end("e-1", "cancelled")
    async with asyncio.timeout(5):
        while (answer := await run(client, "?wait=1", export_id="e-1")).status_code != 200:
            await asyncio.sleep(0.05)
    assert answer.json()["type"] == "export.cancelled"
    assert world.records == []


async def test_a_late_cancellation_spares_the_export_that_another_node_published(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(broken, "_RETRY_SECONDS", 0.0)
    world.held = asyncio.Event()
    assert_problem(await run(client, export_id="e-1"), 503)
    world.others["e-1"] = "anonymous"  # its request is the first
    world.held.set()
    async with asyncio.timeout(5):
        while (await run(client, export_id="e-1")).status_code != 202:
            await asyncio.sleep(0.05)
    assert len(world.requests) == 1, "the late one, which is a repeat"
    assert world.cancelled() == []


async def test_a_request_that_was_refused_is_forgotten(
    client: httpx.AsyncClient, world: World
) -> None:
    world.room.clear()
    answer = asyncio.create_task(run(client, export_id="e-1"))
    await until(lambda: world.waiting == 1)
    world.is_down = True
    world.room.set()
    assert_problem(await answer, 503)
    world.is_down = False
    async with asyncio.timeout(5):
        while (await run(client, export_id="e-1")).status_code != 202:
            await asyncio.sleep(0.05)
    assert world.is_finished("e-1")
    assert world.cancelled() == []


# Uploads that don't end well


async def raw_upload(client: httpx.AsyncClient, length: int) -> asyncio.StreamWriter:
    return (await raw_connection(client, length))[1]


async def raw_connection(
    client: httpx.AsyncClient, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        "POST /export/run?export_id=n&format=csv&columns=a HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode())
    return reader, writer


async def test_an_upload_that_breaks_off_is_cancelled(
    client: httpx.AsyncClient, world: World
) -> None:
    writer = await raw_upload(client, 1_000)
    writer.write(b"[1]\n[2]\n[3")
    await until(lambda: world.requests)
    writer.close()
    await until(lambda: world.cancelled() == ["n"])
    assert world.reasons == ["the upload broke off"]
    assert not world.is_finished("n")


async def test_rows_of_a_slow_upload_are_sent_while_it_goes_on(
    client: httpx.AsyncClient, world: World
) -> None:
    writer = await raw_upload(client, 8)
    writer.write(b"[1]\n")
    await until(lambda: world.records)
    writer.write(b"[2]\n")
    await until(lambda: world.is_finished("n"))
    assert world.published_rows("n") == [[1], [2]]
    writer.close()


async def test_an_upload_that_stalls_is_cut_off(world: World) -> None:
    async with serving_world(world, idle_timeout_seconds=1.5) as client:
        writer = await raw_upload(client, 1_000)
        writer.write(b"[1]\n")
        await until(lambda: world.cancelled() == ["n"])
        assert world.reasons == ["nothing of the body came for 1.5 s"]
        writer.close()


async def test_an_upload_without_a_row_is_not_requested(world: World) -> None:
    async with serving_world(world, idle_timeout_seconds=0.5) as client:
        reader, writer = await raw_connection(client, 1_000)
        writer.write(b"\n \n[1")
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"no row has come within 0.5 s" in answer
        writer.close()
    assert world.requests == []


async def test_an_upload_waits_for_kafka(client: httpx.AsyncClient, world: World) -> None:
    writer = await raw_upload(client, 1 << 40)
    writer.write(b"[0]\n")
    await until(lambda: world.requests)
    world.room.clear()
    taken = 0

    async def push() -> None:
        nonlocal taken
        while True:
            writer.write(b'["%b"]\n' % (b"x" * 60_000))
            await writer.drain()
            taken += 60_000

    pushing = asyncio.create_task(push())
    await asyncio.sleep(0.3)
    before = taken
    await asyncio.sleep(0.3)
    assert taken == before, "nothing more is read while Kafka takes nothing"
    assert taken < 30_000_000
    world.room.set()
    await until(lambda: taken > before)
    pushing.cancel()
    writer.close()
    await until(lambda: world.cancelled() == ["n"])


async def test_an_upload_whose_export_has_ended_is_not_read_on(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.run._LOOK_SECONDS", 0.1)
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"[1]\n"
        await ended.wait()
        for _ in range(50):
            await asyncio.sleep(0.05)
            yield b"[2]\n" * 1_000

    answer = asyncio.create_task(upload(client, body(), "export_id=n&format=csv&columns=a"))
    await until(lambda: world.requests)
    world.end("n", "failed")
    ended.set()
    assert (await answer).status_code == 202
    assert len(world.records) < 10
    assert world.cancelled() == []


async def test_a_node_that_stops_cancels_its_uploads(world: World) -> None:
    async with serving_world(world) as client:
        writer = await raw_upload(client, 1_000)
        writer.write(b"[0]\n")
        await until(lambda: world.requests)
    assert world.cancelled() == ["n"]
    assert world.reasons == ["the node stops"]
    writer.close()


# Whose exports they are

TOKENS = {"users_by_token": {"ta": "alice", "tb": "bob"}}
ALICE, BOB = ({"Authorization": f"Bearer t{letter}"} for letter in "ab")


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


async def run_as(client: httpx.AsyncClient, user: dict[str, str], export_id: str) -> httpx.Response:
    return await client.post("/export/run", json={**GOOD, "export_id": export_id}, headers=user)


async def test_without_a_token_nothing_is_read(world: World) -> None:
    async with serving_world(world, **TOKENS) as client:
        for answer in (await run(client), await upload(client, b"[1,2]")):
            assert_problem(answer, 401)
    assert world.requests == []
