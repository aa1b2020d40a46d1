"""``POST /export/run``: what is wrong is refused by name, before anything is published."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.http import World, serving_world
from tests.support.http_run import GOOD, JSON, named, run, upload
from tests.support.serving import assert_problem
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quiet_soon")


# What is refused


WRONG_QUERIES = [
    ("wait=-1", "wait"),
    ("extra=drop", "extra"),
    ("extra=", "extra"),
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
            "format": "must be 'csv', 'pdf', 'xlsx', 'ndjson', 'json' or 'xml'",
            "columns": "must have unique keys; more than once: 'a'",
            "title": "must be a string",
            "user": "must have at least 1 character",
            "priority": "must be less than or equal to 9",
            "export_id": "must be a letter or digit, then at most 127 of letters, digits,",
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
    (
        (
            '{"format":"csv","columns":["a",{"key":"b","type":"date"}],'
            '"data":[[1,"2026-11-21"],[1,"21.11.2026"],{"b":null},{"a":1},{"b":7},[1]]}'
        ),
        {
            "data.1": "column 'b': '21.11.2026' is no date",
            "data.4": "column 'b': 7 is no date",
            "data.5": "has 1 cells for 2 columns",
        },
    ),
    (
        '{"format":"csv","columns":[{"key":"b","type":"number"}],"data":[[1],{"b":"1"},[1.5]]}',
        {"data.1": "column 'b': '1' is no number"},
    ),
    ('{"format":"csv","columns":["a"],"data":{}}', {"data": "must be an array"}),
    ('{"format":"csv","columns":["a"],"data":null}', {"data": "must be an array"}),
    ('{"format":"csv","columns":["a"],"data":[],"user":null}', {"user": "must be a string"}),
    ('{"format":"csv","columns":["a"],"data":[],"user":"a\\u0000"}', {"user": "must not hold"}),
    (b'{"title":"caf\xe9"}', {"": "malformed JSON: byte 13 (0xe9) is not UTF-8"}),
    ('{"title":"café",}', {"": "malformed JSON: trailing comma is not allowed at byte 16"}),
    ('{"format":"csv","columns":["a"],"data":[],"export_id":null}', {"export_id": "must be"}),
    (
        '{"format":"csv","columns":["a"],"data":[],"export_id":".."}',
        {"export_id": "must be a letter or digit"},
    ),
    (
        '{"format":"csv","columns":["a"],"data":[],"export_id":"e\\n"}',
        {"export_id": "must be a letter or digit"},
    ),
    (
        '{"format":"csv","columns":["a"],"data":[],"export_id":"%s"}' % ("e" * 129),
        {"export_id": "must be a letter or digit"},
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
    ("format=csv&columns=a&expires_in_seconds=0", {"expires_in_seconds"}),
    ("format=csv&columns=a&expires_in_seconds=1h", {"expires_in_seconds"}),
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


async def test_a_line_with_a_cell_of_another_type_is_named(
    client: httpx.AsyncClient, world: World
) -> None:
    columns = '[{"key":"a","type":"boolean"}]'
    answer = await upload(client, b"[true]\n[null]\n[0]\n", f"format=csv&columns={columns}")
    assert named(answer) == {"line 3": "column 'a': 0 is no boolean"}
    assert world.reasons == ["line 3: column 'a': 0 is no boolean"]


WRONG_FIRST_LINES: list[tuple[bytes, str, str]] = [
    (b"[1,2\n[1,2]\n", "line 1", "malformed JSON"),
    (b"[1]\n[1,2]\n", "line 1", "has 1 cells for 2 columns"),
    (b"\n\n7\n[1,2]\n", "line 3", "must be an array or an object"),
    (b"[1,2],[3,4]\n", "line 1", "malformed JSON"),
    (b"[" * 3_000, "line 1", "malformed JSON"),
    (b"[1," + b"[" * 1_000 + b"]" * 1_000 + b"]", "line 1", ""),
    (b'["' + b"x" * 1_000_000 + b'",1]', "line 1", "its 1,000,006 bytes don't fit a message"),
    (b" " * (4 * 1024 * 1024 + 1), "line 1", "is longer than 4,194,304 bytes"),
]
WRONG_LINES: list[tuple[bytes, str, str]] = [
    *WRONG_FIRST_LINES,
    (b"[1,2]\n[1,2\n", "line 2", "malformed JSON"),
    (b"[1,2]\n\n7", "line 3", "must be an array or an object"),
    (b"[1,2]\n[1]\n", "line 2", "has 1 cells for 2 columns"),
    (b'[1,2]\n{"a":1,"c":2}\n', "line 2", "'c' is no column"),
    (b"[1,2]\n[\xff,2]\n", "line 2", "malformed JSON: byte 1 (0xff) is not UTF-8"),
    (b"[1,2]\n[NaN,2]\n", "line 2", "malformed JSON"),
    (b"[1,2]\n\x00\n", "line 2", "malformed JSON"),
]


@pytest.mark.parametrize(("body", "line", "message"), WRONG_FIRST_LINES)
async def test_a_wrong_first_row_is_named_and_nothing_published(
    client: httpx.AsyncClient, world: World, body: bytes, line: str, message: str
) -> None:
    found = named(await upload(client, body, "export_id=n&format=csv&columns=a,b"))
    assert set(found) == {line}
    assert found[line].startswith(message)
    assert world.requests == []
    assert (await upload(client, b"[1,2]", "export_id=n&format=csv&columns=a,b")).status_code == 202


@pytest.mark.parametrize("end", [b"", b"\n", b"\n[3,4]\n"])
async def test_a_wrong_line_after_a_right_one_cancels_a_small_upload_too(
    client: httpx.AsyncClient, world: World, end: bytes
) -> None:
    body = b"[1,2]\n[1,2]\n[3]" + end
    found = named(await upload(client, body, "export_id=n&format=csv&columns=a,b"))
    assert found == {"line 3": "has 1 cells for 2 columns"}
    await until(lambda: world.cancelled() == ["n"])
    assert world.reasons == ["line 3: has 1 cells for 2 columns"]
    assert not world.is_finished("n")


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
