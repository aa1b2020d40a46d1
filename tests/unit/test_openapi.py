"""``openapi.json`` describes what the application answers, and the page shows it."""

import base64
import hashlib
import html
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from starlette.routing import Route

from consumer.core.group_overview import GroupOverview
from consumer.core.listing import ExportState
from schemas.completions import TerminalEvent
from schemas.options import OPTIONS
from schemas.requests import NO_CONTROLS, Column, ExportRequested
from schemas.vocabulary import EXPORT_ID, DeadLetterReason, Format
from sluice.http.docs_page import examples
from sluice.http.problems import MEDIA_TYPE
from sluice.http.view import NodeStatus
from sluice.links import LinkKeys
from tests.support.http import World, app_of, serving_world
from tests.support.json_schema import is_valid

ROOT = Path(__file__).parents[2]
TEMPLATE = "#/components/schemas/{model}"
UNDESCRIBED = {
    ("GET", path) for path in ("/openapi.json", "/docs", "/", "/page/{name}")
}  # of people
ROWS = {"format": "csv", "columns": ["a"], "data": [[1]]}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for name in node.get("$ref", "#").split("/")[1:]:
        document = document[name]
    return document if "$ref" in node else node


def shape(schema: Any) -> Any:
    """A schema without its prose, which the file words for its own readers, and null defaults."""
    if isinstance(schema, dict):
        left = {name for name in ("title", "description") if isinstance(schema.get(name), str)}
        left |= {"default"} if schema.get("default", 0) is None else set()
        return {name: shape(node) for name, node in schema.items() if name not in left}
    return [shape(node) for node in schema] if isinstance(schema, list) else schema


async def test_it_has_every_route_and_nothing_else(world: World, document: dict[str, Any]) -> None:
    async with app_of(world) as app:
        routes = [route for route in app.routes if isinstance(route, Route)]
        assert len(routes) == len(app.routes)
        served = {(method, route.path) for route in routes for method in route.methods or ()}
    assert served == {(method, path) for method, path, _ in operations(document)} | UNDESCRIBED


async def test_its_references_lead_somewhere_and_each_component_is_used(
    document: dict[str, Any],
) -> None:
    used, waiting = set(), [document]
    while waiting:
        node: Any = waiting.pop()
        if isinstance(node, dict):
            if "$ref" in node:
                used.add(node["$ref"])
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    kinds = {name: document["components"][name] for name in ("parameters", "responses", "schemas")}
    assert used == {
        f"#/components/{kind}/{name}" for kind, there in kinds.items() for name in there
    }


async def test_operations_have_what_openapi_requires(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for _, path, operation in operations(document):
        parameters = [resolve(document, one) for one in operation.get("parameters", ())]
        named = {one["name"] for one in parameters if one["in"] == "path" and one["required"]}
        assert named == ({"export_id"} if "{export_id}" in path else set())
        for status, answer in operation["responses"].items():
            assert status == "default" or 200 <= int(status) < 600
            assert resolve(document, answer)["description"]


async def test_it_has_the_version_of_the_package(document: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert document["info"] == {"title": "Sluice", "version": project["version"]}


@pytest.mark.parametrize(
    "model",
    [
        TerminalEvent,
        NodeStatus,
        GroupOverview,
        ExportState,
        Column,
        DeadLetterReason,
        *sorted({*OPTIONS.values()}, key=str),
    ],
)
async def test_its_schemas_are_those_of_the_models(document: dict[str, Any], model: Any) -> None:
    schema = TypeAdapter(model).json_schema(ref_template=TEMPLATE)
    expected = {**schema.pop("$defs", {}), getattr(model, "__name__", "TerminalEvent"): schema}
    components = document["components"]["schemas"]
    if model is TerminalEvent:
        del expected["TerminalEvent"]
        assert len(expected) > 3, "or the union was written in another way"
    for name, described in expected.items():
        assert shape(components[name]) == shape(described), f"sluice/http/openapi.json, {name}"


async def test_the_body_and_the_parameters_of_a_run_are_the_fields_of_a_request(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    fields = {
        name: resolve(document, one) for name, one in schemas["RunRequest"]["properties"].items()
    }
    model = ExportRequested.model_json_schema()["properties"]
    assert fields.keys() == model.keys() - {"type", "requested_at", "retry_of"} | {"data"}
    assert fields["format"]["enum"] == [*Format]
    assert fields["export_id"]["pattern"] == f"^{EXPORT_ID}$"
    assert fields["user"] == {**shape(model["user"]), "pattern": NO_CONTROLS}
    assert shape(fields["priority"]) == shape(model["priority"])
    assert {one["$ref"].rpartition("/")[2] for one in fields["options"]["anyOf"]} == {
        model.__name__ for model in OPTIONS.values()
    }
    for limit in ("minItems", "maxItems"):
        assert fields["columns"][limit] == model["columns"][limit]
    parameters = document["paths"]["/export/run"]["post"]["parameters"]
    assert {one["name"] for one in parameters} == fields.keys() - {"data"} | {"wait", "extra"}


async def test_answers_are_as_described(world: World, document: dict[str, Any]) -> None:
    async with serving_world(world, link_keys=LinkKeys(["k" * 32])) as client:
        await assert_answers_described(world, client, document)


async def assert_answers_described(
    world: World, client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    world.rows["open"] = (3, 40)
    for name in ("open", "done", "failed", "cancelled"):
        assert_described(
            document, await client.post("/export/run", json={**ROWS, "export_id": name})
        )
    for name, state in (("done", "completed"), ("failed", "failed"), ("cancelled", "cancelled")):
        world.end(name, state)
        repeat = {**ROWS, "export_id": name}
        assert_described(document, await client.post("/export/run?wait=1", json=repeat))
    for name in ("open", "done", "failed", "cancelled", "unknown"):
        assert_described(document, await client.get(f"/export/status/{name}"))
        assert_described(document, await client.get(f"/export/download/{name}"))
        assert_described(document, await client.head(f"/export/download/{name}"))
        assert_described(document, await client.delete(f"/export/{name}"))
        assert_described(document, await client.post(f"/export/{name}/link", json={}))
        assert_described(document, await client.post(f"/export/{name}/retry"))
        assert_described(document, await client.get(f"/export/download/{name}?signature=x"))
    assert_described(document, await client.post("/export/done/link", json={"x": 1}))
    async with serving_world(world) as without_keys:
        assert_described(document, await without_keys.post("/export/done/link"))
    for path in ("/health", "/ready", "/metrics", "/export/metrics", "/export/status", "/export"):
        assert_described(document, await client.get(path))
    assert_described(document, await client.get("/group"))
    world.wrong.append("no storage")
    assert_described(document, await client.get("/ready"))
    assert_described(document, await client.post("/export/run", json={}))
    assert_described(document, await client.post("/export/run", content=b"x"))


def assert_described(document: dict[str, Any], answer: httpx.Response) -> None:
    """The status is in the document by itself, with this media type, and the body is valid."""
    url = answer.request.url.path
    path = url if url in document["paths"] else f"{url.rpartition('/')[0]}/{{export_id}}"
    if url.endswith(("/link", "/retry")):
        path = f"/export/{{export_id}}/{url.rpartition('/')[2]}"
    operation = document["paths"][path][answer.request.method.lower()]
    described = resolve(document, operation["responses"][str(answer.status_code)])
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if answer.request.method == "HEAD":
        return
    schema = described["content"][media_type]["schema"]
    if media_type in {"application/json", MEDIA_TYPE}:
        value, of_mapping = answer.json(), schema.get("additionalProperties")
        if isinstance(of_mapping, dict):
            assert all(is_valid(one, document, of_mapping) for one in value.values())
        else:
            assert is_valid(value, document, schema), answer.text


async def test_those_that_need_a_token_say_so(world: World, document: dict[str, Any]) -> None:
    async with serving_world(world, users_by_token={"t-1": "alice"}) as client:
        for method, path, operation in operations(document):
            answer = await client.request(method, path)
            assert (answer.status_code == 401) == ("401" in operation["responses"]), path
            assert (answer.status_code == 401) == ("security" in operation), path


async def test_the_page_shows_all_and_needs_nothing_from_elsewhere(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for method, path, _ in operations(document):
        assert f"<b>{method}</b> <code>{path}</code>" in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in answer.text
        assert f'href="#{name}"' in answer.text
    for shown in ("application/x-ndjson", "If-None-Match", "Seconds to wait", "401: Unauthorized"):
        assert shown in answer.text
    assert not re.search(r"(src|href|action)=.?(https?:|//)", answer.text)
    assert "import " not in answer.text


async def test_the_page_runs_its_own_script_and_no_other(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    policy = answer.headers["content-security-policy"]
    (script,) = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    for part in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"):
        assert part in policy


async def test_the_page_speaks_no_python(client: httpx.AsyncClient) -> None:
    text = re.sub("<script>.*?</script>", "", (await client.get("/docs")).text, flags=re.DOTALL)
    assert not re.findall(r"``|(?<!-)\b(?:True|False|None)\b|[\[{]&#x27;|Successful Response", text)


async def test_the_page_opens_without_a_token_and_has_a_field_for_one(
    world: World, client: httpx.AsyncClient
) -> None:
    assert 'id="token"' not in (await client.get("/docs")).text
    async with serving_world(world, users_by_token={"t-1": "alice"}) as guarded:
        answer = await guarded.get("/docs")
        assert answer.status_code == 200
        assert 'id="token" type="password"' in answer.text
        assert "Bearer $TOKEN" in answer.text
        assert (await guarded.get("/openapi.json")).status_code == 401


async def test_the_page_begins_with_running_an_export(client: httpx.AsyncClient) -> None:
    headings = re.findall("<h2><b>(.*?)</b> <code>(.*?)</code>", (await client.get("/docs")).text)
    assert headings[0] == ("POST", "/export/run")
    assert {path for _, path in headings[-5:]} == {
        *("/export/status", "/health", "/ready", "/metrics", "/export/metrics")
    }


async def test_each_request_has_an_example_that_is_one(
    world: World, client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    world.others["ord-2026-11"] = "anonymous"
    shown = html.unescape((await client.get("/docs")).text)
    for method, path, operation in operations(document):
        found = list(examples(method, path, operation))
        assert found
        for example in found:
            assert f'value="{example.path}"' in shown
            if path == "/export/events":
                continue  # its answer has no end
            headers = {"Content-Type": example.media_type} if example.media_type else {}
            answer = await client.request(
                example.method,
                example.path.replace("wait=10", "wait=0"),
                content=example.body,
                headers=headers,
            )
            assert answer.status_code not in {400, 404, 405, 413, 415, 422, 500}, example
