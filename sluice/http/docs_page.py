"""The page at ``/docs``, made from the OpenAPI document: each request with an example to send.

Pure. It needs no other resources, and a script only for sending. Invariant: everything taken from
the document is escaped.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import orjson

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #8886 }
h2 b { display: inline-block; min-width: 5rem }
table { border-collapse: collapse; width: 100% }
code, td { overflow-wrap: anywhere }
td { border-bottom: 1px solid #8883; padding: .25rem .75rem .25rem 0; vertical-align: top }
pre { overflow: auto; background: #8881; padding: .75rem; max-height: 30rem; white-space: pre-wrap;
  overflow-wrap: anywhere }
form input, form textarea { box-sizing: border-box; width: 100%; font: 14px monospace }
button { font: inherit; margin: .25rem 0 }
:root { color-scheme: light dark }
"""
_RUN = "/export/run"
_LAST = ("/export/status", "/health", "/ready", "/metrics", "/export/metrics")
_EXPORT_ID = "ord-2026-11"
_ORIGIN = "http://localhost:4001"
_ASKING = """<p><label for="token">Your token, kept for this tab:</label>
<input id="token" type="password" autocomplete="off" spellcheck="false"></p>"""
_REFERENCE = re.compile(r"&quot;#/components/schemas/(\w+)&quot;")
_CODE = re.compile(r"(`+)(.+?)\1")
_WORDS = {"minimum": "from", "maximum": "to", "default": "default", "enum": "one of"}


@dataclass(frozen=True, slots=True)
class Example:
    """A request to send. ``media_type`` and ``body`` are None where it has no body."""

    method: str
    path: str
    media_type: str | None = None
    body: str | None = None


def docs_page(document: Mapping[str, Any], script: str, *, asks_for_token: bool) -> str:
    """The page; ``script`` sends its examples."""
    return "".join(_page(document, script, asks_for_token))


def _page(document: Mapping[str, Any], script: str, asks_for_token: bool) -> Iterator[str]:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<style>{_STYLE}</style><h1>{title}</h1>"
    yield "<p>How to run exports over HTTP, follow them and fetch their files. Each request has an "
    yield "example, for a shell and to be sent from here. For programs it is described in "
    yield "<code>/openapi.json</code>.</p>"
    yield _ASKING if asks_for_token else ""
    components = document["components"]
    for path in sorted(document["paths"], key=lambda path: (path != _RUN, path in _LAST)):
        for method, operation in document["paths"][path].items():
            yield from _operation(method, path, operation, components, asks_for_token)
    for name, schema in components["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>{_json(schema)}'
    yield f"<script>{script}</script></html>"


def _operation(
    method: str,
    path: str,
    operation: Mapping[str, Any],
    components: Mapping[str, Any],
    asks_for_token: bool,
) -> Iterator[str]:
    yield f"<h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
    yield f"<p>{_prose(operation.get('description', ''))}</p>"
    needs_token = asks_for_token and "security" in operation
    for example in examples(method, path, operation):
        yield from _example(example, needs_token)
    parameters = [_resolve(parameter, components) for parameter in operation.get("parameters", ())]
    yield from _table(_parameter(parameter, components) for parameter in parameters)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield _details(f"Body: {media_type}", content)
    for status, response in operation["responses"].items():
        answer = _resolve(response, components)
        contents = answer.get("content", {})
        kinds = f" ({', '.join(contents)})" if contents else ""
        shown: Mapping[str, Any] = next(iter(contents.values()), {})
        yield _details(f"{status}: {answer['description']}{kinds}", shown)


def examples(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[Example]:
    """An example of each kind of body, or of the request without one.

    ``x-query`` of an operation or a body is the query of its example.
    """
    path = path.replace("{export_id}", _EXPORT_ID)
    contents = operation.get("requestBody", {}).get("content", {})
    for media_type, content in contents.items():
        body = content.get("example", {})
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        yield Example(method.upper(), _with_query(path, content), media_type, text)
    if not contents:
        yield Example(method.upper(), _with_query(path, operation))


def _with_query(path: str, described: Mapping[str, Any]) -> str:
    query = described.get("x-query")
    return f"{path}?{query}" if query else path


def _example(example: Example, needs_token: bool) -> Iterator[str]:
    yield f"<pre>{_command(example, needs_token)}</pre>"
    kind = f' data-type="{escape(example.media_type)}"' if example.media_type else ""
    yield f'<form hidden data-method="{example.method}"{kind}>'
    yield f'<input name="path" aria-label="Path" value="{escape(example.path)}">'
    if example.body is not None:
        yield f'<textarea name="body" aria-label="Body" rows="3">{escape(example.body)}</textarea>'
    yield '<button>Send</button><pre hidden aria-live="polite"></pre></form>'


def _command(example: Example, needs_token: bool) -> str:
    """The example as a shell command in HTML; the script inserts the page's own address."""
    words = ["curl"]
    if example.method == "HEAD":
        words.append("-I")
    elif example.method != ("GET" if example.body is None else "POST"):
        words += ["-X", example.method]
    if needs_token:
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    if example.media_type and example.body is not None:
        words += ["-H", shlex.quote(f"Content-Type: {example.media_type}")]
        words += ["--data-binary", shlex.quote(example.body)]
    address = f"'<span class=\"origin\">{_ORIGIN}</span>{escape(example.path)}'"
    return f"{escape(' '.join(words), quote=False)} {address}"


def _table(rows: Iterator[list[str]]) -> Iterator[str]:
    yield "<table>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{_prose(cell)}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _resolve(node: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node itself, or the component it refers to."""
    if "$ref" not in node:
        return node
    *_, kind, name = node["$ref"].split("/")
    component: Mapping[str, Any] = components[kind][name]
    return component


def _parameter(parameter: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    schema = _resolve(parameter["schema"], components)
    facts = [str(schema["type"])] if isinstance(schema.get("type"), str) else []
    facts += [f"{words} {_value(schema[name])}" for name, words in _WORDS.items() if name in schema]
    return [parameter["name"], parameter["in"], ", ".join(facts), parameter.get("description", "")]


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _prose(text: str) -> str:
    """A description as HTML: text in backticks is code."""
    return _CODE.sub(r"<code>\2</code>", escape(text))


def _details(summary: str, content: Mapping[str, Any]) -> str:
    if not (schema := content.get("schema")):
        return f"<p>{escape(summary)}</p>"
    return f"<details><summary>{escape(summary)}</summary>{_json(schema)}</details>"


def _json(schema: Mapping[str, Any]) -> str:
    text = escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
    return f"<pre>{_REFERENCE.sub(_link, text)}</pre>"


def _link(reference: re.Match[str]) -> str:
    return f'<a href="#{reference[1]}">{reference[0]}</a>'
