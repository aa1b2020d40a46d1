import json
from typing import Any

import pytest

from schemas.build.generate import DIRECTORY, as_text, schemas
from schemas.completions import encode_event
from tests.support.json_schema import is_valid
from tests.support.samples import (
    RIGHT_BATCHES,
    RIGHT_REQUESTS,
    WRONG_BATCHES,
    WRONG_BEYOND_SCHEMA,
    WRONG_REQUESTS,
)
from tests.unit.test_schemas_completions import EVENTS

SCHEMAS = schemas()
REQUESTED = SCHEMAS["export.requested.schema.json"]
BATCH = SCHEMAS["export.batch.schema.json"]
CANCELLATION = {"type": "export.cancel_requested", "export_id": "ord-1"}


def test_there_is_a_file_for_each_schema_and_no_other() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == SCHEMAS.keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_what_the_models_say(name: str) -> None:
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    assert text == as_text(SCHEMAS[name]), "schemas/json is out of date: run `make schemas`"


@pytest.mark.parametrize("sample", RIGHT_REQUESTS)
def test_a_right_request_is_valid_by_the_schema(sample: dict[str, Any]) -> None:
    assert is_valid(sample, REQUESTED)


@pytest.mark.parametrize(("sample", "wrong"), WRONG_REQUESTS)
def test_a_wrong_request_is_not_valid_by_the_schema(
    sample: dict[str, Any], wrong: set[str]
) -> None:
    assert not is_valid(sample, REQUESTED), wrong


@pytest.mark.parametrize(("sample", "wrong"), WRONG_BEYOND_SCHEMA)
def test_what_a_schema_has_no_words_for(sample: dict[str, Any], wrong: set[str]) -> None:
    assert is_valid(sample, REQUESTED), wrong


@pytest.mark.parametrize("name", ["type", "export_id", "format", "columns"])
def test_what_a_request_must_have(name: str) -> None:
    sample = {key: value for key, value in RIGHT_REQUESTS[0].items() if key != name}
    assert not is_valid(sample, REQUESTED)


@pytest.mark.parametrize("sample", RIGHT_BATCHES)
def test_a_right_batch_is_valid_by_the_schema(sample: dict[str, Any]) -> None:
    assert is_valid(sample, BATCH)


@pytest.mark.parametrize(("sample", "wrong"), WRONG_BATCHES)
def test_a_wrong_batch_is_not_valid_by_the_schema(sample: dict[str, Any], wrong: set[str]) -> None:
    assert not is_valid(sample, BATCH), wrong


def test_a_cancellation_is_valid_by_its_schema() -> None:
    schema = SCHEMAS["export.cancel_requested.schema.json"]
    assert is_valid(CANCELLATION, schema)
    assert not is_valid({**CANCELLATION, "export_id": "a b"}, schema)
    assert not is_valid({**CANCELLATION, "reason": "no longer wanted"}, schema)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.type} {event.format}")
def test_an_event_is_valid_by_its_own_schema_alone(event: Any) -> None:
    value = json.loads(encode_event(event))
    for kind in ("completed", "failed", "cancelled"):
        schema = SCHEMAS[f"export.{kind}.schema.json"]
        assert is_valid(value, schema) == (event.type == f"export.{kind}")
