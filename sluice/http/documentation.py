"""``/openapi.json`` and ``/docs``: the interface described, for programs and for people.

The document is the file ``openapi.json`` beside this module. The page is made from it, and needs no
script and nothing from elsewhere. Invariant: everything in it is escaped.
"""

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sluice.access.askers import Asker

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #8886 }
h2 b { display: inline-block; min-width: 5rem }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid #8883; padding: .25rem .75rem .25rem 0; vertical-align: top }
pre { overflow: auto; background: #8881; padding: .75rem }
:root { color-scheme: light dark }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


_LINK = re.compile(r"&quot;#/components/schemas/(\w+)&quot;")


async def openapi(_request: Request, _asker: Asker) -> Response:
    """The document."""
    return Response(_document(), media_type="application/json")


async def docs(_request: Request, _asker: Asker) -> Response:
    """The page."""
    return HTMLResponse(_html(), headers={"Content-Security-Policy": _POLICY})


@cache
def _document() -> bytes:
    document: dict[str, Any] = orjson.loads(
        files("sluice.http").joinpath("openapi.json").read_bytes()
    )
    return orjson.dumps(document)


@cache
def _html() -> str:
    return "".join(_page(orjson.loads(_document())))


def _page(document: dict[str, Any]) -> Iterator[str]:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    yield f"<style>{_STYLE}</style><h1>{title}</h1>"
    yield '<p>As a document for programs: <a href="/openapi.json">openapi.json</a>.</p>'
    components = document["components"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation, components)
    for name, schema in components["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>{_json(schema)}'


def _operation(
    method: str, path: str, operation: dict[str, Any], components: dict[str, Any]
) -> Iterator[str]:
    yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    parameters = [_resolve(parameter, components) for parameter in operation.get("parameters", ())]
    yield from _table(_parameter(parameter, components) for parameter in parameters)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield _details(f"Body: {media_type}", content)
    for status, response in operation["responses"].items():
        answer = _resolve(response, components)
        contents = answer.get("content", {})
        kinds = f" ({', '.join(contents)})" if contents else ""
        yield _details(
            f"{status}: {answer['description']}{kinds}", next(iter(contents.values()), {})
        )


def _table(rows: Iterator[list[str]]) -> Iterator[str]:
    yield "<table>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row)
    yield "</table>"


def _resolve(node: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The node, or the component it refers to."""
    if "$ref" not in node:
        return node
    *_, kind, name = node["$ref"].split("/")
    component: dict[str, Any] = components[kind][name]
    return component


def _parameter(parameter: dict[str, Any], components: dict[str, Any]) -> list[str]:
    schema = _resolve(parameter["schema"], components)
    facts = ", ".join(f"{name} {value}" for name, value in schema.items() if name != "description")
    return [parameter["name"], parameter["in"], facts, parameter.get("description", "")]


def _details(summary: str, content: dict[str, Any]) -> str:
    if not (schema := content.get("schema")):
        return f"<p>{escape(summary)}</p>"
    return f"<details><summary>{escape(summary)}</summary>{_json(schema)}</details>"


def _json(schema: dict[str, Any]) -> str:
    text = escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
    return f"<pre>{_LINK.sub(_link, text)}</pre>"


def _link(reference: re.Match[str]) -> str:
    return f'<a href="#{reference[1]}">{reference[0]}</a>'
