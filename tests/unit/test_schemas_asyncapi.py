from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from schemas.build.generate import ASYNCAPI, as_yaml, asyncapi_document
from schemas.completions import cloud_event_headers
from schemas.topics import Topics
from schemas.vocabulary import DeadLetterReason
from tests.support.json_schema import is_valid
from tests.support.samples import RIGHT_BATCHES, RIGHT_REQUESTS, WRONG_BATCHES, WRONG_REQUESTS
from tests.unit.test_schemas_completions import FAILED

DOCUMENT = asyncapi_document()
MESSAGES = DOCUMENT["components"]["messages"]


def examples(part: str) -> Iterator[Any]:
    for name, message in MESSAGES.items():
        for number, example in enumerate(message["examples"]):
            if part in example:
                yield pytest.param(message[part], example[part], id=f"{name}-{number}")


def follow(reference: dict[str, str]) -> Any:
    found: Any = DOCUMENT
    for name in reference["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(value: Any) -> Iterator[dict[str, str]]:
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict) and "$ref" in each:
            yield each
        elif isinstance(each, dict | list):
            yield from references(each)


def test_the_file_is_what_the_models_and_the_contract_say() -> None:
    text = ASYNCAPI.read_text(encoding="utf-8")
    assert text == as_yaml(DOCUMENT), "schemas/asyncapi.yaml is out of date: run `make schemas`"
    assert yaml.safe_load(text) == DOCUMENT


@pytest.mark.parametrize(("schema", "example"), list(examples("payload")))
def test_each_payload_is_valid_by_its_schema(schema: dict[str, Any], example: Any) -> None:
    assert is_valid(example, DOCUMENT, schema)


@pytest.mark.parametrize(("schema", "example"), list(examples("headers")))
def test_each_examples_headers_are_valid_by_their_schema(
    schema: dict[str, Any], example: Any
) -> None:
    assert is_valid(example, DOCUMENT, schema)


def test_every_message_has_an_example() -> None:
    assert len(MESSAGES) == 7
    assert all(message["examples"] for message in MESSAGES.values())


def test_the_channels_are_the_four_topics_and_the_operations_are_sluices() -> None:
    channels = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    topics = Topics.named()
    actions = {
        follow(operation["channel"])["address"]: operation["action"]
        for operation in DOCUMENT["operations"].values()
    }
    assert actions == {
        topics.requests: "receive",
        topics.records: "receive",
        topics.completions: "send",
        topics.dead_letters: "send",
    }
    assert channels.keys() == actions.keys()
    assert {
        name: [follow(message)["name"] for message in channel["messages"].values()]
        for name, channel in channels.items()
    } == {
        topics.requests: ["export.requested", "export.cancel_requested"],
        topics.records: ["export.batch"],
        topics.completions: ["export.completed", "export.failed", "export.cancelled"],
        topics.dead_letters: ["dead-letter"],
    }


def test_every_reference_leads_somewhere_and_no_schema_is_unused() -> None:
    used = {reference["$ref"]: follow(reference) for reference in references(DOCUMENT)}
    schemas = DOCUMENT["components"]["schemas"]
    assert {name for name in schemas if f"#/components/schemas/{name}" not in used} == set()


@pytest.mark.parametrize("sample", RIGHT_REQUESTS)
def test_a_right_request_is_valid(sample: dict[str, Any]) -> None:
    assert is_valid(sample, DOCUMENT, MESSAGES["requested"]["payload"])


@pytest.mark.parametrize(("sample", "wrong"), WRONG_REQUESTS)
def test_a_wrong_request_is_not(sample: dict[str, Any], wrong: set[str]) -> None:
    assert not is_valid(sample, DOCUMENT, MESSAGES["requested"]["payload"]), wrong


@pytest.mark.parametrize("sample", RIGHT_BATCHES)
def test_a_right_batch_is_valid(sample: dict[str, Any]) -> None:
    assert is_valid(sample, DOCUMENT, MESSAGES["batch"]["payload"])


@pytest.mark.parametrize(("sample", "wrong"), WRONG_BATCHES)
def test_a_wrong_batch_is_not(sample: dict[str, Any], wrong: set[str]) -> None:
    assert not is_valid(sample, DOCUMENT, MESSAGES["batch"]["payload"]), wrong


def test_every_header_of_an_event_is_described() -> None:
    described = DOCUMENT["components"]["schemas"]["CloudEventHeaders"]["properties"]
    made = [name for name, _ in cloud_event_headers(FAILED)]
    assert list(described) == made, "describe it in schemas/build/asyncapi.py"


def test_headers_of_another_event_are_not_valid() -> None:
    headers = {name: value.decode() for name, value in cloud_event_headers(FAILED)}
    assert is_valid(headers, DOCUMENT, MESSAGES["failed"]["headers"])
    assert not is_valid(headers, DOCUMENT, MESSAGES["completed"]["headers"])
    del headers["ce_id"]
    assert not is_valid(headers, DOCUMENT, MESSAGES["failed"]["headers"])


def test_a_dead_letter_has_one_of_the_reasons() -> None:
    schema = MESSAGES["deadLetter"]["headers"]
    where = {"sluice_topic": "export.records", "sluice_partition": "3", "sluice_offset": "42"}
    for reason in DeadLetterReason:
        assert is_valid({"sluice_reason": reason.value, **where}, DOCUMENT, schema)
    assert not is_valid({"sluice_reason": "late", **where}, DOCUMENT, schema)
    assert not is_valid({"sluice_reason": "unreadable"}, DOCUMENT, schema)
