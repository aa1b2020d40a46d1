"""Whatever comes over HTTP, the answer is no 500, and what is published can be read."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.requests import Column
from sluice.http.ndjson import NdjsonRows
from sluice.http.problems import Refusal
from sluice.http.ranges import satisfiable
from sluice.http.rows import RowCheck
from tests.support.http import World, app_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["format", "columns", "data", "export_id", "title", "user", "priority", "options", "x"]
)
PLAUSIBLE = st.sampled_from(
    ["csv", "pdf", ["a"], ["a", "b"], [[1], [2]], [{"a": 1}], "e-1", 5, {"header": False}, [], {}]
)
JSON_TYPE = {"Content-Type": "application/json"}
FIELDS = st.dictionaries(NAMES, PLAUSIBLE | JSON, max_size=9)
CONTENT_TYPES = st.sampled_from(["application/json", "application/x-ndjson"]) | st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20
)
COLUMNS = [Column(key="a"), Column(key="b")]
# 303: of ``/export/..``, which is ``/``.
ANSWERS = {200, 202, 303, 400, 403, 404, 405, 408, 409, 413, 415, 429, 503}


def world_after(ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> World:
    """Ask an application that is made for it, in its own loop; see that it took it."""

    async def main(directory: str) -> World:
        world = World(Path(directory))
        async with app_of(world, max_body_bytes=2_000) as app:
            transport = httpx.ASGITransport(app)  # raises what the application doesn't answer
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                answer = await ask(client)
        assert answer.status_code in ANSWERS, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            if answer.request.method != "HEAD":
                assert answer.json()["status"] == answer.status_code
        if answer.status_code == 202 and answer.request.method == "POST":
            export_id = answer.json()["export_id"]
            assert world.is_finished(export_id)
            assert world.cancelled() == []
        return world

    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(main(directory))


@given(FIELDS)
def test_any_json_fields(fields: dict[str, Any]) -> None:
    world_after(
        lambda client: client.post("/export/run", content=json.dumps(fields), headers=JSON_TYPE)
    )


@given(st.binary(max_size=300), CONTENT_TYPES, st.text(max_size=60))
@example(b"\x00" * 3_000, "application/json", "")
@example(b"[" * 1_999, "application/json", "")
def test_any_body_of_any_type(body: bytes, content_type: str, query: str) -> None:
    headers = {b"Content-Type": content_type.encode("latin-1")}
    path = f"/export/run?{quote(query, safe='=&+%')}"
    world_after(lambda client: client.post(path, content=body, headers=headers))


@given(st.lists(JSON, max_size=5), st.dictionaries(NAMES, st.text(max_size=12), max_size=4))
def test_any_lines_and_parameters(rows: list[Any], fields: dict[str, str]) -> None:
    body = "\n".join(json.dumps(row) for row in rows)
    parameters = {"format": "csv", "columns": "a,b", **fields}
    headers = {"Content-Type": "application/x-ndjson"}
    world_after(
        lambda client: client.post("/export/run", params=parameters, content=body, headers=headers)
    )


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_link(expires: str, signature: str, more: str) -> None:
    query = f"expires={quote(expires)}&signature={quote(signature)}&{quote(more, safe='=&+%')}"
    world_after(lambda client: client.get(f"/export/download/a?{query}"))


@given(
    st.sampled_from(["GET", "HEAD", "DELETE", "POST", "PUT"]),
    st.sampled_from(["/export/status/", "/export/download/", "/export/"]),
    st.text(max_size=150) | st.sampled_from(["..", "../a", "a.manifest.json", "a\0", "run"]),
)
def test_any_id(method: str, path: str, export_id: str) -> None:
    world = world_after(lambda client: client.request(method, path + quote(export_id, safe="")))
    assert world.requested() == []


ROWS = st.lists(
    st.lists(st.integers() | st.text(max_size=5), min_size=2, max_size=2)
    | st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2),
    max_size=20,
)


@given(ROWS, st.data())
def test_lines_are_the_same_however_they_are_cut(rows: list[Any], data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n\t\n"]))
    text = ending.join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    reader = NdjsonRows(RowCheck(COLUMNS))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    fed = [some for piece in pieces for some in reader.feed(piece)]
    read = [json.loads(row) for some in (*fed, *reader.end()) for row in some]
    assert read == rows


@given(ROWS, st.integers(0, 20))
def test_a_wrong_line_is_counted_from_one(rows: list[Any], place: int) -> None:
    lines = [json.dumps(row) for row in rows]
    lines.insert(min(place, len(lines)), "{")
    with pytest.raises(Refusal) as refusal:
        list(NdjsonRows(RowCheck(COLUMNS)).feed("\n".join([*lines, ""]).encode()))
    assert refusal.value.errors[0].field == f"line {lines.index('{') + 1}"


@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1))
def test_ranges_are_what_slices_are(size: int, wanted: list[tuple[int, int]]) -> None:
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
    found = satisfiable(header, size)
    if any(last < first for first, last in wanted):
        assert found is None
    else:
        slices = [list(range(size))[first : last + 1] for first, last in wanted]
        assert found == [(some[0], some[-1]) for some in slices if some]


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 50))
def test_any_range_header(header: str, size: int) -> None:
    for first, last in satisfiable(header, size) or []:
        assert 0 <= first <= last < size
