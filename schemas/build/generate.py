"""``python -m schemas.build.generate``: writes the schema files from the models, in a checkout.

Each file in schemas/json describes one event; schemas/asyncapi.yaml describes all of them, with the
examples of docs/contract.md. The records topic has no model (see ``schemas.records``); its schema
is written here, and a test compares the two.
"""

import json
import re
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from schemas.build import asyncapi
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed
from schemas.options import OPTIONS
from schemas.requests import NO_CONTROLS, CancelRequested, ExportRequested
from schemas.strict import Strict
from schemas.vocabulary import EXPORT_ID

_CHECKOUT = Path(__file__).parents[2]
DIRECTORY = _CHECKOUT / "schemas" / "json"
ASYNCAPI = _CHECKOUT / "schemas" / "asyncapi.yaml"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXPORT_ID = {"type": "string", "pattern": f"^{EXPORT_ID}$"}


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by file name."""
    return {
        "export.requested.schema.json": _requested(),
        "export.cancel_requested.schema.json": _of_model(CancelRequested),
        "export.batch.schema.json": _batch(),
        "export.completed.schema.json": _of_model(ExportCompleted),
        "export.failed.schema.json": _of_model(ExportFailed),
        "export.cancelled.schema.json": _of_model(ExportCancelled),
    }


def as_text(schema: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes equal objects in full each time, because some readers lack anchors."""

    def ignore_aliases(self, _data: object) -> bool:
        """True of all."""
        return True


def as_yaml(document: dict[str, Any]) -> str:
    """A document as its file holds it: keys keep their order."""
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text)


def asyncapi_document() -> dict[str, Any]:
    """What asyncapi.yaml holds."""
    pyproject = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    by_kind = {
        name.removeprefix("export.").removesuffix(".schema.json"): schema
        for name, schema in schemas().items()
    }
    return asyncapi.document(pyproject["project"]["version"], by_kind, _examples())


def _examples() -> dict[str, list[dict[str, Any]]]:
    """The messages that the contract shows, by kind."""
    contract = (_CHECKOUT / "docs" / "contract.md").read_text(encoding="utf-8")
    found = defaultdict(list)
    for block in re.findall(r"^```json\n(.*?)^```$", contract, re.MULTILINE | re.DOTALL):
        example = json.loads(block)
        kind = example.get("type", "batch" if "seq" in example else "")
        found[kind.removeprefix("export.")].append(example)
    return found


def _of_model(model: type[Strict]) -> dict[str, Any]:
    schema = model.model_json_schema()
    # The models give it a default, so pydantic doesn't require it; the contract does.
    if "type" in schema.get("properties", {}):
        schema["required"] = ["type", *schema.get("required", [])]
    return {"$schema": _DIALECT, **schema}


def _requested() -> dict[str, Any]:
    """The request's schema, with the validators' rules, which pydantic can't derive."""
    schema = _of_model(ExportRequested)
    schema["$defs"]["Column"]["properties"]["header"].pop("default")  # it is the key
    schema["properties"]["user"]["pattern"] = NO_CONTROLS
    schema["$defs"]["CsvOptions"]["properties"]["delimiter"]["pattern"] = '^[^"\\r\\n]+$'
    column = schema["properties"]["columns"]["items"]
    schema["properties"]["columns"]["items"] = {"anyOf": [{"type": "string"}, column]}
    schema["properties"]["options"] = {"type": "object"}
    schema["allOf"] = [
        {
            "if": {"properties": {"format": {"const": name.value}}},
            "then": {"properties": {"options": {"$ref": f"#/$defs/{model.__name__}"}}},
        }
        for name, model in OPTIONS.items()
    ]
    return schema


def _batch() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    return {
        "$schema": _DIALECT,
        "title": "Batch",
        "description": "Rows of one export. `seq` counts from 0; `last` ends the export.",
        "type": "object",
        "properties": {
            "export_id": _EXPORT_ID,
            "seq": count,
            "rows": {"type": "array", "items": {"type": ["array", "object"]}},
            "last": {"type": "boolean", "default": False},
            "total_rows": count,
        },
        "required": ["export_id", "seq", "rows"],
        "additionalProperties": False,
        "dependentSchemas": {
            "total_rows": {"properties": {"last": {"const": True}}, "required": ["last"]}
        },
    }


def main() -> None:
    """Write every schema file."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (DIRECTORY / name).write_text(as_text(schema), encoding="utf-8")
    ASYNCAPI.write_text(as_yaml(asyncapi_document()), encoding="utf-8")


if __name__ == "__main__":
    main()
