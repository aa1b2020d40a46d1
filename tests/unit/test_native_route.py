"""Which batches are encoded natively; what becomes of an export is in the tests of partitions."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumer.exports.messages import LargeMessage
from consumer.formats import native
from consumer.formats.base import Encoders, FormatWriter
from consumer.formats.native import NativeEncoders, PythonEncoders, find_encoders
from consumer.formats.pdf import PdfWriter
from consumer.formats.registry import Formats
from schemas.completions import ExportCompleted, ExportFailed
from schemas.requests import ExportRequested
from schemas.unread_value import UnreadValue
from schemas.vocabulary import FailReason
from tests.support.native import leave_out
from tests.support.partition import RECORDS, Bench, only
from tests.support.pdf import FONTS

FORMATS = Formats()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    encoders = find_encoders()
    if encoders.name == "python":
        leave_out()
    return Bench(tmp_path, encoders=encoders)


def applied(bench: Bench) -> tuple[float, float]:
    """Batches by encoder: native, Python."""
    name = "sluice_batches_applied_total"
    return bench.metric(name, encoder="native"), bench.metric(name, encoder="python")


def pdf_writer(request: ExportRequested, dated_at: datetime | None) -> PdfWriter:
    return PdfWriter(request, dated_at=dated_at, fonts=FONTS)


def content(bench: Bench, export_id: str = "a", suffix: str = "csv") -> bytes:
    return (bench.directory / f"{export_id}.{suffix}").read_bytes()


def test_batches_of_both_shapes_are_encoded_natively_and_odd_ones_in_between_are_not(
    bench: Bench,
) -> None:
    bench.request(columns=["a", "b"])
    bench.batch(0, [1, "x"], [2, "=y"])
    bench.batch(1, {"b": "z", "a": 10**30}, {})
    bench.raw(RECORDS, b'{"export_id":"a","seq":2,"rows":[{"a":1,"a":2}]}', b"a")
    bench.batch(3, [3.50, [{"n": 1}]])
    bench.batch(4, last=True, total_rows=6)
    assert only(bench.turn()).rows == 6
    lines = ["a,b", "1,x", "2,'=y", f"{10**30},z", ",", "2,", '3.5,"[{""n"":1}]"', ""]
    assert content(bench).decode() == "\r\n".join(lines)
    assert applied(bench) == (3, 2)


def test_a_key_that_names_another_open_export_leads_nowhere_wrong(bench: Bench) -> None:
    for export_id, delimiter in (("a", ","), ("b", "|")):
        bench.request(export_id, columns=["a", "b"], options={"delimiter": delimiter})
    value = bench.encode({"export_id": "a", "seq": 0, "rows": [[1, 2]], "last": True})
    bench.raw(RECORDS, value, b"b")
    assert only(bench.turn()).export_id == "a"
    assert content(bench) == b"a,b\r\n1,2\r\n"
    assert applied(bench) == (0, 1)


def test_without_a_key_python_finds_the_export(bench: Bench) -> None:
    bench.request()
    value = bench.encode({"export_id": "a", "seq": 0, "rows": [[1]], "last": True})
    bench.raw(RECORDS, value)
    assert only(bench.turn()).rows == 1
    assert applied(bench) == (0, 1)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file_is_the_same_either_way(
    bench: Bench, tmp_path: Path, compression: str
) -> None:
    made = []
    for encoders in (bench.encoders, PythonEncoders()):
        one = Bench(tmp_path / encoders.name, encoders=encoders)
        one.request(columns=["a", "b"], options={"compression": compression})
        for seq in range(20):
            one.batch(seq, *[[n, f"row {n}"] for n in range(500)], last=seq == 19)
        event = only(one.turn())
        assert isinstance(event, ExportCompleted)
        made.append(event.sha256)
        assert applied(one)[encoders.name == "python"] == 20
    assert made[0] == made[1]


def test_a_pdf_is_the_same_either_way(bench: Bench, tmp_path: Path) -> None:
    """Repeats change nothing; a batch without a key, or with a cell of two keys, is Python's."""
    made = []
    rows = [[n, f"Muğla {n}", "x" * (n % 90), [n]] for n in range(900)]
    twice = b'{"export_id":"a","seq":3,"rows":[[1,2,3,{"a":1,"a":2}]]}'
    for encoders in (bench.encoders, PythonEncoders()):
        one = Bench(tmp_path / encoders.name, encoders=encoders, writer=pdf_writer)
        options = {"records_per_page": 20}
        one.request(format="pdf", columns=["a", "b", "c", "d"], options=options)
        one.batch(0, *rows[:300])
        one.batch(0, *rows[:300])
        one.batch(1, *rows[300:310])
        one.raw(RECORDS, one.encode({"export_id": "a", "seq": 2, "rows": rows[310:505]}))
        one.raw(RECORDS, twice, b"a")
        one.batch(4, *rows[505:], last=True)
        event = only(one.turn())
        assert isinstance(event, ExportCompleted)
        made.append((event.sha256, event.pages, event.truncated_cells))
        assert applied(one) == ((3, 2) if encoders.name == "native" else (0, 5))
    assert made[0] == made[1]


def test_a_pdf_that_grows_too_large_fails_in_the_same_words(bench: Bench, tmp_path: Path) -> None:
    found = []
    for encoders in (bench.encoders, PythonEncoders()):
        one = Bench(tmp_path / encoders.name, encoders=encoders, writer=pdf_writer)
        one.max_export_bytes = 20_000
        one.partition = one.owner()
        one.request(format="pdf", columns=["a"], options={"records_per_page": 1})
        one.batch(0, *[[n] for n in range(400)])
        event = one.failure()
        found.append((event.reason, event.message))
    assert found[0] == found[1]
    assert found[0][0] is FailReason.TOO_LARGE


def any_writer(request: ExportRequested, dated_at: datetime | None) -> FormatWriter:
    return FORMATS.writer(request, dated_at)


@pytest.mark.parametrize("file_format", ["csv", "ndjson", "json", "xml", "xlsx"])
def test_every_format_of_rows_is_encoded_natively_to_the_same_file(
    bench: Bench, tmp_path: Path, file_format: str
) -> None:
    made = []
    rows = [[n, f"=Muğla\x01{n}", n / 7, [n]] for n in range(900)]
    for encoders in (bench.encoders, PythonEncoders()):
        one = Bench(tmp_path / encoders.name, encoders=encoders, writer=any_writer)
        one.request(format=file_format, columns=["a", "b", "c", "d"])
        one.batch(0, *rows[:300])
        one.batch(0, *rows[:300])
        one.batch(1, *rows[300:310])
        one.raw(RECORDS, one.encode({"export_id": "a", "seq": 2, "rows": rows[310:505]}))
        one.batch(3, *rows[505:], last=True)
        event = only(one.turn())
        assert isinstance(event, ExportCompleted)
        made.append((event.sha256, event.rows, event.replaced_characters))
        # The first batch shows how wide the columns of an XLSX are.
        by_native = 2 if file_format == "xlsx" else 3
        assert applied(one) == ((by_native, 4 - by_native) if encoders.name == "native" else (0, 4))
    assert made[0] == made[1]


@pytest.mark.parametrize("file_format", ["xml", "xlsx"])
def test_a_file_of_any_format_that_grows_too_large_fails_in_the_same_words(
    bench: Bench, tmp_path: Path, file_format: str
) -> None:
    found = []
    for encoders in (bench.encoders, PythonEncoders()):
        one = Bench(tmp_path / encoders.name, encoders=encoders, writer=any_writer)
        one.max_export_bytes = 20_000
        one.partition = one.owner()
        one.request(format=file_format, columns=["a"])
        for seq in range(5):  # no two rows are alike, so that packing them takes little away
            names = (b"%d" % n for n in range(200 * seq, 200 * seq + 200))
            one.batch(seq, *[[hashlib.sha256(name).hexdigest()] for name in names])
        event = one.failure()
        found.append((event.reason, event.message, event.rows))
    assert found[0] == found[1]
    assert found[0][0] is FailReason.TOO_LARGE


def test_a_file_that_grows_too_large_ends_in_pythons_words(bench: Bench) -> None:
    bench.max_export_bytes = 1_000
    bench.partition = bench.owner()
    bench.request()
    bench.batch(0, ["x" * 600])
    bench.batch(1, ["x" * 600], last=True)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.rows) == (FailReason.TOO_LARGE, 1)
    assert event.message == "the file passes 1000 bytes"
    assert applied(bench) == (1, 0)


def test_what_was_decided_as_completed_has_no_bound(bench: Bench) -> None:
    bench.request()
    bench.batch(0, ["x" * 600], last=True)
    only(bench.turn())
    (bench.directory / "a.csv").unlink()
    bench.max_export_bytes = 100
    bench.partition = bench.owner()
    assert only(bench.turn()).type == "export.completed"
    assert applied(bench) == (2, 0)


def test_a_value_that_is_not_held_is_not_read_for_it(bench: Bench) -> None:
    bench.request()
    read: list[str] = []

    def value() -> bytes:
        read.append("read")
        return bench.encode({"export_id": "a", "seq": 0, "rows": [[1]], "last": True})

    large = LargeMessage(RECORDS, 3, 0, 0, b"a", 2_000_000, value)
    bench.records.append(large)  # type: ignore[arg-type]  # it is a ``Message`` as well
    assert only(bench.turn()).rows == 1
    assert applied(bench) == (0, 1)


def test_a_value_that_could_not_be_read_is_pythons(bench: Bench) -> None:
    bench.request()
    whole = bench.encode({"export_id": "a", "seq": 0, "rows": [[1]]})
    bench.raw(RECORDS, UnreadValue("it is too large", whole, too_large=True), b"a")
    bench.partition.owners_known(below=1)
    assert bench.failure().reason is FailReason.TOO_LARGE


def test_an_end_may_be_paused_and_holds_no_rows(bench: Bench) -> None:
    bench.request(options={"compression": "gzip"})
    bench.batch(0, *[[json.dumps(n)] for n in range(2_000)], last=True)
    owner = bench.partition
    bench.feed(owner)
    for _ in range(10):  # each ends at once
        owner.turn(0)
    assert bench.metric("sluice_batches_applied_total", encoder="native") == 1
    assert "a.csv.gz" in bench.files()


def test_modules_of_another_version_or_broken_ones_are_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def finds(found: Any) -> str:
        def import_module(name: str) -> Any:
            assert name == "sluice_native"
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(native, "import_module", import_module)
        return find_encoders().name

    assert finds(SimpleNamespace(VERSION=native.VERSION)) == "native"
    assert finds(ModuleNotFoundError("none")) == "python"
    assert "not used" not in capsys.readouterr().out
    assert finds(SimpleNamespace(VERSION="0.0.1")) == "python"
    assert "they are of version 0.0.1" in capsys.readouterr().out
    assert finds(ImportError("wrong ELF class")) == "python"
    assert "wrong ELF class" in capsys.readouterr().out
    assert finds(SimpleNamespace()) == "python"


def test_the_version_is_the_crates() -> None:
    root = Path(__file__).parents[2]
    assert f'\nversion = "{native.VERSION}"\n' in (root / "native/Cargo.toml").read_text("utf-8")
    encoders = find_encoders()
    assert isinstance(encoders, NativeEncoders | PythonEncoders)


def test_turns_of_five_slots_at_once_make_the_files_of_one(bench: Bench, tmp_path: Path) -> None:
    def file_of(place: str, encoders: Encoders, number: int) -> bytes:
        one = Bench(tmp_path / place / str(number), encoders=encoders)
        one.request(columns=["a", "b"])
        for seq in range(30):
            rows = [[seq * number, f'{number}: é {n}, "{seq}"'] for n in range(300)]
            one.batch(seq, *(rows if seq % 2 else [{"b": b, "a": a} for a, b in rows]))
        one.batch(30, last=True)
        assert only(one.turn()).rows == 9_000
        assert applied(one)[encoders.name == "python"] >= 30
        return content(one)

    with ThreadPoolExecutor(5) as slots:
        at_once = [*slots.map(partial(file_of, "five", bench.encoders), range(5))]
    assert at_once == [file_of("one", PythonEncoders(), number) for number in range(5)]
