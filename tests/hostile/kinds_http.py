"""Hostile bodies over HTTP: small to send and large to parse, or never at their end."""

import asyncio
import itertools
import json
from collections.abc import Iterable
from functools import partial

from tests.hostile.kinds_text import marks
from tests.hostile.raw_http import chunked, connected, exchanged, post
from tests.hostile.target import BOUNDED, BUSY, CANCELLED, COMPLETED, TYPED, Ends, Kind, Target
from tests.hostile.wire import Text

JSON, NDJSON = "application/json", "application/x-ndjson"
_MIB = 1024 * 1024
_REFUSED = frozenset({"400", "408", "413", "422", "429", "431", "503"})
_TRICKLE_SECONDS = 15.0


def json_body(export_id: str, data: Text, size_bytes: int = 0, file_format: str = "csv") -> Text:
    """A body around rows, padded with spaces to a size."""
    head = f'{{"export_id":"{export_id}","format":"{file_format}","columns":["a"],"data":'
    before, after = head.encode() + data.before, data.after + b"}"
    room = size_bytes - len(before) - len(data.unit) * data.times - len(after)
    return Text(before, data.unit, data.times, b" " * max(0, room) + after)


async def posted(
    target: Target, body: Text, answers: frozenset[str], node: int = 0, path: str = "/export/run"
) -> str:
    """POST a JSON body; its status, which is to be one of these."""
    url = target.nodes[node].node.url
    pieces = itertools.chain([post(path, JSON, len(body))], body.pieces())
    return noted(target, await exchanged(url, pieces), answers)


def noted(target: Target, status: str, answers: frozenset[str]) -> str:
    """Count an answer, which is to be one of these; in a crowd also one that keeps it out."""
    target.answers[status] += 1
    if target.crowded:
        answers |= BUSY
    target.should(status in answers, f"an answer was {status!r}, and not {sorted(answers)}")
    return status


async def _wrong_rows(target: Target, row: bytes, at_once: int = 1) -> None:
    """16 MiB of rows that are wrong."""
    data = Text(b"[", row + b",", 16 * _MIB // (len(row) + 1), row + b"]")
    bodies = [json_body(target.new_id(), data) for _ in range(at_once)]
    await asyncio.gather(*(posted(target, body, _REFUSED, n % 2) for n, body in enumerate(bodies)))


async def _valid(target: Target, row: bytes, at_once: int = 1, file_format: str = "csv") -> None:
    """64 MiB to the byte of rows that are right: taken whole, or refused."""
    data = Text(b"[", row + b",", (64 * _MIB - 200 - len(row)) // (len(row) + 1), row + b"]")

    async def one(number: int) -> None:
        export_id = target.new_id()
        body = json_body(export_id, data, 64 * _MIB, file_format)
        status = await posted(target, body, _REFUSED | {"202"}, number % 2)
        if status == "202":
            target.wanted[export_id] = TYPED

    await asyncio.gather(*map(one, range(at_once)))


async def _trickle(target: Target, kind: str) -> None:
    """Bodies that are nearly whole, and then come a byte at a time."""
    data = Text(b"[", b'["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],', 63 * _MIB // 44)
    path = "/export/run" if kind == JSON else "/export/run?format=csv&columns=a"

    async def one(number: int) -> None:
        body = json_body(target.new_id(), data) if kind == JSON else Text(b"", b'["x"]\n', 100_000)
        pieces = itertools.chain([post(path, kind, 64 * _MIB)], body.pieces())
        async with connected(target.nodes[number % 2].node.url) as connection:
            await connection.send(pieces)
            await connection.send([b" "] * int(_TRICKLE_SECONDS), pause_seconds=1)

    await asyncio.gather(*map(one, range(4 if kind == JSON else 20)))


async def _small_bodies(target: Target) -> None:
    """Bodies of some 900 KB that are hostile inside."""
    row = '[["x"]]'
    long = "x" * 900_000
    for fields in (
        {"options": {"null": long[:300_000]}},
        {"columns": [f"c{n}" for n in range(100_000)]},
        {f"f{n}": 1 for n in range(80_000)},
        {"columns": [1] * 300_000},
        {"export_id": long},
        {"user": ""},
    ):
        sent = {"format": "csv", "columns": ["a"], "data": json.loads(row), **fields}
        found = len(target.findings)
        await posted(target, Text(json.dumps(sent).encode()), _REFUSED)
        target.findings[found:] = [f"{[*fields][-1]:.20}: {it}" for it in target.findings[found:]]
    deep = b"[" * 100_000 + b"]" * 100_000
    await posted(target, json_body(target.new_id(), Text(b"[[" + deep + b"]]")), _REFUSED)
    for cell, ends in ((marks(220_000).encode(), COMPLETED), (b"\\u0301" * 150_000, COMPLETED)):
        await _accepted(target, Text(b'[["' + cell + b'"]]'), ends)
    await _accepted(target, Text(b"[[", b"9", 900_000, b"]]"), COMPLETED | BOUNDED)


async def _accepted(target: Target, data: Text, ends: Ends) -> None:
    export_id = target.new_id()
    body = json_body(export_id, data, file_format="pdf")
    if await posted(target, body, _REFUSED | {"202"}) == "202":
        target.wanted[export_id] = ends


async def _uploaded(
    target: Target, lines: Iterable[bytes], answers: frozenset[str], ends: Ends | None = None
) -> str:
    """An NDJSON upload, chunked. With ``ends`` its export is wanted, unless it was kept out."""
    export_id = target.new_id()
    path = f"/export/run?format=csv&columns=a&export_id={export_id}"
    pieces = itertools.chain([post(path, NDJSON, None)], chunked(lines))
    status = noted(target, await exchanged(target.nodes[0].node.url, pieces), answers)
    if ends and (status in answers):
        target.wanted[export_id] = ends
    return export_id


_BAD, _TAKEN = frozenset({"400"}), frozenset({"202"})


async def _endless_line(target: Target) -> None:
    await _uploaded(target, itertools.repeat(b"x" * 65_536, 3_200), _BAD)
    await _uploaded(target, itertools.repeat(b" " * 65_536, 3_200), _BAD)


async def _empty_lines(target: Target) -> None:
    lines = Text(b"", b"\n", 1_000_000, b"[1]\n")
    await _uploaded(target, lines.pieces(), _TAKEN, COMPLETED)
    lines = Text(b"[1]\n", b"\r\n", 1_000_000, b"")
    await _uploaded(target, lines.pieces(), _TAKEN, COMPLETED)


async def _tiny_lines(target: Target) -> None:
    await _uploaded(target, Text(b"", b"[1]\n", 1_000_000).pieces(), _TAKEN, COMPLETED)


async def _wrong_first_line(target: Target) -> None:
    """The id is not used up: a right upload of the same id is taken."""
    export_id = await _uploaded(target, [b"{"], _BAD)
    path = f"/export/run?format=csv&columns=a&export_id={export_id}"
    pieces = itertools.chain([post(path, NDJSON, None)], chunked([b"[1]\n"]))
    if noted(target, await exchanged(target.nodes[1].node.url, pieces), _TAKEN) == "202":
        target.wanted[export_id] = COMPLETED


async def _wrong_later_line(target: Target) -> None:
    for wrong in (b"{\n", b"[1,2]\n", b"[" * 100_000 + b"\n", b"x" * 5_000_000 + b"\n"):
        lines = Text(b"", b"[1]\n", 50_000, wrong)
        await _uploaded(target, lines.pieces(), _BAD, CANCELLED)


KINDS = (
    Kind("POST of 16 MiB of rows []", partial(_wrong_rows, row=b"[]"), short=True),
    Kind("POST of 16 MiB of rows 0", partial(_wrong_rows, row=b"0")),
    Kind("POST of 16 MiB of commas", partial(_wrong_rows, row=b""), short=True),
    Kind("four POSTs of 16 MiB at once", partial(_wrong_rows, row=b"[]", at_once=4)),
    Kind("POST of 64 MiB of tiny rows", partial(_valid, row=b"[1]"), seconds=240),
    Kind(
        "POST of 64 MiB of rows of 2 KB",
        partial(_valid, row=b'["%s"]' % (b"x" * 2_000)),
        short=True,
    ),
    Kind(
        "four POSTs of 64 MiB at once, PDF",
        partial(_valid, row=b'["%s"]' % (b"x" * 2_000), at_once=4, file_format="pdf"),
        seconds=120,
    ),
    Kind("four bodies of 63 MiB that trickle", partial(_trickle, kind=JSON), short=True),
    Kind("20 uploads that trickle", partial(_trickle, kind=NDJSON)),
    Kind("hostile bodies of 900 KB", _small_bodies, short=True),
    Kind("NDJSON: one endless line", _endless_line),
    Kind("NDJSON: 1,000,000 empty lines", _empty_lines),
    Kind("NDJSON: 1,000,000 tiny lines", _tiny_lines),
    Kind("NDJSON: a wrong first line", _wrong_first_line),
    Kind("NDJSON: a wrong later line", _wrong_later_line),
)
