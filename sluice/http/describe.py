"""What the OpenAPI document says beyond what it can see in the code: bodies and answers.

Only descriptions live here. ``docs/contract.md`` is the contract; this follows it.
"""

from http import HTTPStatus
from typing import Any

from fastapi import Response

from schemas.completions import TerminalEvent
from schemas.requests import NO_CONTROLS, Column, CsvOptions, PdfOptions
from schemas.vocabulary import EXPORT_ID, Format
from sluice.http.bodies import JSON, NDJSON
from sluice.http.problems import MEDIA_TYPE

_ERROR = {
    "type": "object",
    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": _ERROR},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are problems; any status may be one."""
    content = {MEDIA_TYPE: {"schema": _PROBLEM}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
    return {**described, "default": {"description": "A problem", "content": content}}


_ACCEPTED = {
    "type": "object",
    "required": ["export_id", "status_url", "download_url"],
    "properties": {
        "export_id": {"type": "string"},
        "status_url": {"type": "string"},
        "download_url": {"type": "string"},
    },
}
_COLUMNS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 256,
    "items": {"anyOf": [{"type": "string"}, Column.model_json_schema()]},
}
_OPTIONS = {"anyOf": [CsvOptions.model_json_schema(), PdfOptions.model_json_schema()]}
_FIELDS: dict[str, dict[str, Any]] = {
    "format": {"type": "string", "enum": [*Format]},
    "export_id": {"type": "string", "pattern": f"^{EXPORT_ID}$"},
    "title": {"type": "string"},
    "user": {
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
        "pattern": NO_CONTROLS,
        "default": "anonymous",
    },
    "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 5},
}
_ROW = {
    "anyOf": [{"type": "array", "items": {}}, {"type": "object"}],
    "description": "A cell per column, in their order; or an object by column key.",
}
_BODY = {
    "type": "object",
    "required": ["format", "columns", "data"],
    "additionalProperties": False,
    "properties": {
        **_FIELDS,
        "columns": _COLUMNS,
        "options": _OPTIONS,
        "data": {"type": "array", "items": _ROW},
    },
}
_WAIT = "Seconds to wait for the export's end, once all rows are accepted."


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_BESIDE_NDJSON = f"With {NDJSON} only."
_PARAMETERS = [
    _parameter("wait", _WAIT, {"type": "number", "minimum": 0, "maximum": 3600, "default": 0}),
    *(_parameter(name, _BESIDE_NDJSON, schema) for name, schema in _FIELDS.items()),
    _parameter(
        "columns",
        f"{_BESIDE_NDJSON} Keys by commas, quoted as in CSV; or a JSON array.",
        {"type": "string", "example": "id,name"},
    ),
    _parameter(
        "options",
        f"{_BESIDE_NDJSON} A JSON object.",
        {"type": "string", "example": '{"delimiter": ";"}'},
    ),
]

RUN: dict[str, Any] = {
    "openapi_extra": {
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _BODY},
                NDJSON: {"schema": {"type": "string", "description": "A row a line, as JSON."}},
            },
        },
    },
    "responses": {
        202: {"description": "Accepted", "content": {JSON: {"schema": _ACCEPTED}}},
        200: {"description": "It ended while the request waited", "model": TerminalEvent},
        **problems(400, 401, 408, 409, 413, 415, 429, 503),
    },
}

_BINARY = {"type": "string", "format": "binary"}
_FILE = {"text/csv": {"schema": _BINARY}, "application/pdf": {"schema": _BINARY}}


def _conditions(*names: str) -> dict[str, Any]:
    headers = [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names]
    return {"parameters": headers}


DOWNLOAD: dict[str, Any] = {
    "openapi_extra": _conditions("Range", "If-Range", "If-Match", "If-None-Match"),
    "responses": {
        200: {"description": "The file", "content": _FILE},
        206: {"description": "Parts of it", "content": _FILE},
        304: {"description": "Not modified"},
        **problems(401, 404, 409, 412, 416, 503),
    },
}
HEAD: dict[str, Any] = {
    "openapi_extra": _conditions("If-Match", "If-None-Match"),
    "responses": {
        200: {"description": "The file's headers"},
        304: {"description": "Not modified"},
        **problems(401, 404, 409, 412, 503),
    },
}

_TEXT = {"schema": {"type": "string"}}
METRICS: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The metrics",
            "content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT},
        }
    },
}
