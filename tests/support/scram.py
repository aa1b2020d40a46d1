"""A user's SCRAM passwords in Kafka's metadata, by the request of KIP-554.

Kafka's own tool does the same, but is in a jar that no broker needs.
"""

import asyncio
import hashlib
import secrets
from io import BytesIO
from typing import Any

from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_API_KEY, _API_VERSION = 51, 0
_ITERATIONS = 4096  # the fewest that Kafka takes
_HEADER = Schema(
    ("api_key", Int16),
    ("api_version", Int16),
    ("correlation_id", Int32),
    ("client_id", Int16),  # the length of a text; -1 is none
    ("tags", TaggedFields),
)
_REQUEST = Schema(
    ("deletions", CompactArray(("name", CompactString()), ("mechanism", Int8))),
    (
        "upsertions",
        CompactArray(
            ("name", CompactString()),
            ("mechanism", Int8),
            ("iterations", Int32),
            ("salt", CompactBytes),
            ("salted_password", CompactBytes),
            ("tags", TaggedFields),
        ),
    ),
    ("tags", TaggedFields),
)
_RESPONSE = Schema(
    ("correlation_id", Int32),
    ("header_tags", TaggedFields),
    ("throttle_time_ms", Int32),
    (
        "results",
        CompactArray(
            ("user", CompactString()),
            ("error_code", Int16),
            ("error_message", CompactString()),
            ("tags", TaggedFields),
        ),
    ),
    ("tags", TaggedFields),
)


_MECHANISMS = {"sha256": 1, "sha512": 2}
"""Hashes, and how Kafka numbers the mechanisms of that hash."""


async def add_scram_user(servers: str, name: str, password: str) -> None:
    """Let ``name`` log in to the cluster of ``servers`` (host:port) by either mechanism."""
    for digest, number in _MECHANISMS.items():  # one user is altered once in a request, or refused
        salt = secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _ITERATIONS)
        upsertion: tuple[Any, ...] = (name, number, _ITERATIONS, salt, salted, {})
        header = _HEADER.encode((_API_KEY, _API_VERSION, 1, -1, {}))
        results = await _answer(servers, header + _REQUEST.encode(([], [upsertion], {})))
        assert [code for _, code, _, _ in results] == [0], results


async def _answer(servers: str, request: bytes) -> list[tuple[str, int, str | None, object]]:
    host, port = servers.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(len(request).to_bytes(4) + request)
        size = int.from_bytes(await reader.readexactly(4))
        answer = _RESPONSE.decode(BytesIO(await reader.readexactly(size)))
    finally:
        writer.close()
        await writer.wait_closed()
    results: list[tuple[str, int, str | None, object]] = answer[3]
    return results
