"""A recorded message under another export id. Pure.

Invariant: of a batch nothing changes but the text of its id: digits, escapes, white space and the
order of its fields stay, so a number means afterwards what it meant before.
"""

import re
from collections.abc import Iterator

import orjson

from schemas.codec import encode_request
from schemas.requests import ExportRequested

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
    digits, and ``copy``, of four, tell the ids of a run apart.
    """
    return f"{original[:_MOST_OF_THE_ORIGINAL]}-{run}-{number}-{copy}"


def request_with_id(request: ExportRequested, export_id: str) -> bytes:
    """The request under another id, and without ``requested_at``: it is asked for now."""
    changes = {"export_id": export_id, "requested_at": None}
    return encode_request(request.model_copy(update=changes))


def batch_with_id(value: bytes, export_id: str) -> bytes:
    """The batch under another id; ``value`` is one that ``decode_batch`` takes."""
    text = orjson.dumps(export_id)
    pieces, done = [], 0
    for begin, end in _id_spans(value):
        pieces += [value[done:begin], text]
        done = end
    return b"".join([*pieces, value[done:]])


def _id_spans(value: bytes) -> Iterator[tuple[int, int]]:
    """Where the outermost object has a string under ``export_id``: each, as the last one counts."""
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
