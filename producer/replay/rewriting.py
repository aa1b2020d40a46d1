"""Rewrites a recorded message for another export id. Pure.

Invariant: in a batch only the text of its id changes. Digits, escapes, white space and the order of
its fields stay, so no number changes its value.
"""

import re
from collections.abc import Iterator

import orjson

from schemas.codec import encode_request
from schemas.requests import ExportRequested
from schemas.retries import RetryAttempt
from schemas.times import recorded_time

_MOST_OF_THE_ORIGINAL = 80  # leaves room for the rest of an id's 128 characters
# Strings as a whole, with the colon that makes one a key, and brackets. In valid JSON that is all
# there is to see: numbers and words have neither quotes nor brackets.
_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")([ \t\r\n]*:)?|[\[\]{}]')
# The id's key has no letter that JSON must escape, but may: "export\u005fid".
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
_KEY = "export_id"


def replay_id(original: str, run: str, number: int, copy: int) -> str:
    """The id of a copy, such as ``ord-2026-11-replay-019a…-7-0``; the original may be cut short.

    ``run`` is an id of at most 30 characters, such as ``replay-019a…``; ``number``, of at most ten
    digits, and ``copy``, of four, distinguish the ids of a run.
    """
    return f"{original[:_MOST_OF_THE_ORIGINAL]}-{run}-{number}-{copy}"


def request_with_id(request: ExportRequested, export_id: str) -> bytes:
    """The request with another id, and without ``requested_at``, as it is requested now."""
    changes = {"export_id": export_id, "requested_at": None}
    return encode_request(request.model_copy(update=changes))


def request_again(request: ExportRequested, attempt: RetryAttempt, recorded_ms: int) -> bytes:
    """The request of a retry: all as in the original, so that the file has the same bytes.

    A PDF shows when it was requested. ``recorded_ms`` is the Kafka timestamp of the request, which
    stands for a time that it doesn't have.
    """
    changes = {
        "export_id": attempt.export_id,
        "retry_of": attempt.original,
        "requested_at": request.requested_at or recorded_time(recorded_ms),
    }
    return encode_request(request.model_copy(update=changes))


def batch_with_id(value: bytes, export_id: str) -> bytes:
    """The batch with another id; ``value`` is one that ``decode_batch`` accepts."""
    text = orjson.dumps(export_id)
    pieces, done = [], 0
    for begin, end in _id_spans(value):
        pieces += [value[done:begin], text]
        done = end
    return b"".join([*pieces, value[done:]])


def _id_spans(value: bytes) -> Iterator[tuple[int, int]]:
    """The spans of all ``export_id`` strings in the outermost object; readers take the last one."""
    # In nearly every batch the id comes first, and nothing after it can be another one.
    only_one = value.count(_KEY.encode()) == 1 and not _ESCAPED_ASCII.search(value)
    depth, key = 0, ""
    for token in _TOKEN.finditer(value):
        string, colon = token.groups()
        if string is None:
            depth += 1 if token[0] in b"[{" else -1
        elif depth == 1 and colon:
            key = orjson.loads(string)
        elif depth == 1 and key == _KEY:
            yield token.span(1)
            if only_one:
                return
