"""What others may put into ids, keys, headers and texts, and which files come of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from tests.support.nodes import node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import csv_bytes

pytestmark = pytest.mark.kafka

REFUSED: list[Any] = [
    *("", ".", "..", "../up", "../../up", "/up", "//up", "a/../../up", "a/b", "a\\..\\up", "~"),
    *(
        ".parts",
        ".a",
        "-a",
        "_a",
        "a ",
        " a",
        "a\n",
        "a\r",
        "a\0",
        "a\0.csv",
        "a\x7f",
        "%2e%2e",
        "a:b",
    ),
    *("a*", "é", "e\u0301", "a\u202egpj", "\uff11", "a\u2024", "\ufeffa", "a" * 129, "a/" * 5_000),
    *(None, 7, True, ["a"], {"a": "a"}),
]
# Those whose names might meet another's, next to names that some systems keep for themselves.
TAKEN = {
    "a": "csv",
    "a.csv": "pdf",
    "a.pdf": "csv",
    "a.csv.csv": "csv",
    "a.csv.pdf": "csv",
    "a.manifest": "csv",
    "a.manifest.json": "pdf",
    "a.csv.manifest": "csv",
    "a.csv.manifest.json": "csv",
    "a.manifest.json.manifest": "pdf",
    "a.manifest.json.manifest.json": "csv",
    "a..": "csv",
    "a...b": "csv",
    "a.parts": "csv",
    "a.csv.0123456789ab-0": "csv",
    "0": "csv",
    "CON": "csv",
    "nul": "pdf",
    "com1.txt": "csv",
    "lost-found": "csv",
    "z" * 128: "csv",
    "y" * 128: "pdf",
}
SPOOFED: list[tuple[str, bytes | None]] = [
    ("sluice_reason", b"null_value"),
    ("sluice_offset", b"-1"),
    ("ce_id", b"../../up"),
    ("../up", b"\0"),
    ("é" * 300, None),
    ("", b"\xff" * 5_000),
]
PATH = "../../../up\0\n\x1b[2J"


class Sender:
    """Sends with headers, and with a key of its own choice."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    async def export(self, export_id: Any, file_format: str, key: bytes) -> None:
        """A request and its only batch, whose one row names the export."""
        request = {
            "type": "export.requested",
            "export_id": export_id,
            "format": file_format,
            "columns": [{"key": "n", "header": "n"}, {"key": PATH, "header": "t"}],
            "title": PATH,
            "user": "../../../up",  # control characters are refused there
        }
        rows = [[str(export_id)[:300], PATH]]
        batch = {"export_id": export_id, "seq": 0, "rows": rows, "last": True}
        await self._send(self._topics.requests, request, key)
        await self._send(self._topics.records, batch, key)

    async def _send(self, topic: str, sent: dict[str, Any], key: bytes) -> None:
        value = json.dumps(sent).encode()
        await self._producer.send_and_wait(topic, value, key=key, headers=SPOOFED)


@pytest.mark.parametrize("topics", [3], indirect=True)
async def test_no_name_leaves_the_storage_or_meets_anothers(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    inside = tmp_path / "some" / "where"
    inside.mkdir(parents=True)
    async with (
        node_on(bootstrap_servers, topics, inside) as node,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=1) as producer,
    ):
        sender = Sender(producer, topics)
        for export_id in REFUSED:
            await sender.export(export_id, "csv", b"../../../up\0")
        for export_id, file_format in TAKEN.items():
            await sender.export(export_id, file_format, b"\xff/../" + export_id.encode())
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=len(TAKEN)))
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=2 * len(REFUSED))
        assert node.terminate() == 0
    assert {name: (event.type, event.format) for name, event in done.items()} == {
        name: ("export.completed", file_format) for name, file_format in TAKEN.items()
    }
    for name, event in done.items():
        check_file(inside / "exports", name, event)
    names = [f"{name}.{file_format}" for name, file_format in TAKEN.items()]
    names += [f"{name}.manifest.json" for name in TAKEN]
    expected = [inside / "exports" / name for name in [*names, ".sluice.json"]]
    assert all_files(tmp_path) == sorted([*expected, inside / "node.log"])
    assert len(letters) == 2 * len(REFUSED)
    for letter in letters:
        assert letter.key == b"../../../up\0"
        ours = {name: text for name, text in letter.headers if name.startswith("sluice_")}
        assert (ours["sluice_reason"], int(ours["sluice_offset"]) >= 0) == (b"invalid_id", True)
        theirs = [it for it in letter.headers if not it[0].startswith("sluice_")]
        assert theirs == [it for it in SPOOFED if not it[0].startswith("sluice_")]


def check_file(directory: Path, name: str, event: Any) -> None:
    """The file and the manifest under this name are those of this export."""
    content = (directory / f"{name}.{event.format}").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (event.bytes, event.sha256)
    manifest = json.loads((directory / f"{name}.manifest.json").read_bytes())
    assert (manifest["export_id"], manifest["source"]) == (name, event.source.model_dump())
    if event.format == "csv":
        assert content == csv_bytes([[name, PATH]])


def all_files(directory: Path) -> list[Path]:
    """What is anywhere below, and what is called up next to it."""
    found = [*directory.rglob("*"), *directory.parent.glob("up*")]
    return sorted(path for path in found if not path.is_dir())
