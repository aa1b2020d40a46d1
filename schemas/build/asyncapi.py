"""The four topics as an AsyncAPI 3.0 document: channels, messages, headers, keys, operations.

Made from the same schemas as json/*.schema.json; nothing here repeats what a model states.
AsyncAPI's schemas are JSON Schema draft 7, so newer keywords are translated to that draft.
Invariant: operations are Sluice's: it receives requests and batches, it sends events.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from schemas.completions import cloud_event_headers, decode_event
from schemas.topics import Topics
from schemas.vocabulary import EXPORT_ID, DeadLetterReason

Json: TypeAlias = dict[str, Any]
Examples: TypeAlias = Mapping[str, Sequence[Json]]
"""Messages by kind: ``requested``, ``cancel_requested``, ``batch``, ``completed``, …"""

_TOPICS = Topics.named()
_BINDING = "0.5.0"
_SCHEMAS = "#/components/schemas/"
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "string", "pattern": "^[0-9]+$"}


def document(version: str, schemas: Mapping[str, Json], examples: Examples) -> Json:
    """The AsyncAPI document. ``schemas`` and ``examples`` are the events', by kind.

    ``version`` is Sluice's.
    """
    messages = {kind: _message(kind, schema, examples[kind]) for kind, schema in schemas.items()}
    messages["deadLetter"] = _dead_letter(examples["batch"][-1])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluice",
            "version": version,
            "description": (
                "CSV and PDF files from requests and rows that arrive on Apache Kafka, and exactly "
                "one terminal event for each. docs/contract.md says what each field means."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "SLUICE_BOOTSTRAP_SERVERS; TLS and SASL by settings",
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": messages, "schemas": _components(schemas)},
    }


def _channels() -> Json:
    prefix = "SLUICE_TOPIC_PREFIX replaces export in the name"
    output = "SLUICE_OUTPUT_PREFIX, else SLUICE_TOPIC_PREFIX, replaces export in the name"
    pair = (
        "Has as many partitions as the other input topic, and all producers of the two use one "
        "partitioner; not compacted"
    )
    committed = "Read it with isolation.level=read_committed"
    return {
        "requests": _channel(
            _TOPICS.requests, f"{pair}. {prefix}.", ("requested", "cancel_requested"), is_input=True
        ),
        "records": _channel(_TOPICS.records, f"{pair}. {prefix}.", ("batch",), is_input=True),
        "completions": _channel(
            _TOPICS.completions, f"{committed}. {output}.", ("completed", "failed", "cancelled")
        ),
        "deadLetters": _channel(_TOPICS.dead_letters, f"{committed}. {output}.", ("deadLetter",)),
    }


def _channel(
    address: str, description: str, kinds: tuple[str, ...], *, is_input: bool = False
) -> Json:
    # Compaction would remove the requests and batches of an export that share its key.
    topic = {"topicConfiguration": {"cleanup.policy": ["delete"]}} if is_input else {}
    return {
        "address": address,
        "description": description,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
        "bindings": {"kafka": {**topic, "bindingVersion": _BINDING}},
    }


def _operations() -> Json:
    group = {"kafka": {"groupId": {**_TEXT, "default": "sluice"}, "bindingVersion": _BINDING}}
    return {
        "receiveRequests": {
            "action": "receive",
            "channel": {"$ref": "#/channels/requests"},
            "summary": "Open an export, or cancel one. Wait for its acknowledgement, then send "
            "the batches.",
            "bindings": group,
        },
        "receiveBatches": {
            "action": "receive",
            "channel": {"$ref": "#/channels/records"},
            "summary": "Rows of an export, numbered from 0 by 1; the last batch says so.",
            "bindings": group,
        },
        "sendCompletions": {
            "action": "send",
            "channel": {"$ref": "#/channels/completions"},
            "summary": "Exactly one for each request that is read with a valid id and is no "
            "repeat, in one transaction with the offsets that it stands on.",
        },
        "sendDeadLetters": {
            "action": "send",
            "channel": {"$ref": "#/channels/deadLetters"},
            "summary": "What can't be tied to an export, key and value as they came.",
        },
    }


def _message(kind: str, schema: Json, examples: Sequence[Json]) -> Json:
    is_event = "source" in schema["properties"]
    headers = {
        "allOf": [{"$ref": f"{_SCHEMAS}CloudEventHeaders"}],
        "properties": {"ce_type": {"const": f"export.{kind}"}},
    }
    return {
        "name": f"export.{kind}",
        "title": schema["title"],
        **({"headers": headers} if is_event else {}),
        "payload": {"$ref": _SCHEMAS + schema["title"]},
        "correlationId": {
            "description": "The export; it is the key as well.",
            "location": "$message.payload#/export_id",
        },
        "bindings": _key({**_TEXT, "pattern": f"^{EXPORT_ID}$"}),
        "examples": [_event_example(each) if is_event else {"payload": each} for each in examples],
    }


def _event_example(payload: Json) -> Json:
    headers = cloud_event_headers(decode_event(json.dumps(payload).encode()))
    return {"headers": {name: value.decode() for name, value in headers}, "payload": payload}


def _cloud_event_headers() -> Json:
    """CloudEvents 1.0 in Kafka's binary mode; ``ce_type`` belongs to each message."""
    properties = {
        "ce_id": {
            **_TEXT,
            "pattern": _UUID,
            "description": "The same however often the event is made again.",
        },
        "ce_type": _TEXT,
        "ce_source": {**_TEXT, "pattern": "^/sluice/"},
        "ce_specversion": {**_TEXT, "const": "1.0"},
        "ce_time": {**_TEXT, "format": "date-time"},
        "content-type": {**_TEXT, "const": "application/json"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _dead_letter(orphan: Json) -> Json:
    """``orphan`` is a batch without a request."""
    headers = {
        "sluice_reason": {**_TEXT, "enum": [reason.value for reason in DeadLetterReason]},
        "sluice_topic": _TEXT,
        "sluice_partition": _NUMBER,
        "sluice_offset": _NUMBER,
        "sluice_truncated": {
            **_TEXT,
            "const": "true",
            "description": "The message was too large for the topic: the value is empty.",
        },
    }
    where = {"sluice_topic": _TOPICS.records, "sluice_partition": "3", "sluice_offset": "7"}
    return {
        "name": "dead-letter",
        "title": "DeadLetter",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": "The message's own headers are kept.",
            "properties": headers,
            "required": [name for name in headers if name != "sluice_truncated"],
        },
        "payload": {"description": "The value as it came, whatever it is."},
        "bindings": _key({"description": "The key as it came."}),
        "examples": [
            {
                "headers": {"sluice_reason": DeadLetterReason.ORPHAN_BATCH.value, **where},
                "payload": orphan,
            }
        ],
    }


def _key(schema: Json) -> Json:
    return {"kafka": {"key": schema, "bindingVersion": _BINDING}}


def _components(schemas: Mapping[str, Json]) -> Json:
    """Every schema by its title, including those it defines."""
    found: Json = {"CloudEventHeaders": _cloud_event_headers()}
    for schema in schemas.values():
        found |= schema.get("$defs", {})
        found[schema["title"]] = {
            name: each for name, each in schema.items() if name not in {"$schema", "$defs"}
        }
    return {name: _draft_7(found[name]) for name in sorted(found)}


def _draft_7(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(value, list):
        return [_draft_7(each) for each in value]
    if not isinstance(value, dict):
        return value.replace("#/$defs/", _SCHEMAS) if isinstance(value, str) else value
    return {_DRAFT_7.get(name, name): _draft_7(each) for name, each in value.items()}


_DRAFT_7 = {"dependentSchemas": "dependencies"}
