"""``/openapi.json`` and ``/docs``: the interface described, for programs and for people.

The page is made here from the document, and needs no script and nothing from elsewhere. Invariant:
everything in it is escaped.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from sluice.http.auth import Asker

router = APIRouter(include_in_schema=False)

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


@router.get("/openapi.json")
async def openapi(request: Request, _asker: Asker) -> Response:
    """The document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def docs(request: Request, _asker: Asker) -> Response:
    """The page."""
    page = "".join(_page(request.app.openapi()))
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _page(document: dict[str, Any]) -> Iterator[str]:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    yield f"<style>{_STYLE}</style><h1>{title}</h1>"
    yield '<p>As a document for programs: <a href="/openapi.json">openapi.json</a>.</p>'
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)
    schemas = document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>{_json(schema)}'


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    yield from _table(_parameter(parameter) for parameter in operation.get("parameters", ()))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield _details(f"Body: {media_type}", content)
    for status, answer in operation["responses"].items():
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


def _parameter(parameter: dict[str, Any]) -> list[str]:
    schema = parameter.get("schema", {})
    facts = ", ".join(f"{name} {value}" for name, value in schema.items() if name != "title")
    return [parameter["name"], parameter["in"], facts, parameter.get("description", "")]


def _details(summary: str, content: dict[str, Any]) -> str:
    if not (schema := content.get("schema")):
        return f"<p>{escape(summary)}</p>"
    return f"<details><summary>{escape(summary)}</summary>{_json(schema)}</details>"


def _json(schema: dict[str, Any]) -> str:
    return f"<pre>{escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())}</pre>"
