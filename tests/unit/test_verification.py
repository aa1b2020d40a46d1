import hashlib
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from consumer.formats.compression import new_compressor
from consumer.storage.local import LocalStorage
from consumer.verify.content import ContentVerifier, Verdict
from consumer.verify.verifier import Verifier, partial_files
from schemas.completions import ExportCancelled, ExportCompleted, Source
from schemas.file_names import extension
from schemas.vocabulary import Compression, Format
from tests.support.pdf import pdf_request, write_pdf

MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
CSV = b"name,note\r\nann,x\r\nbob,y\r\n"
PDF = write_pdf(pdf_request(records_per_page=2), [["a", 1], ["b", 2], ["c", 3]])
COMMON: dict[str, Any] = {
    "user": "u",
    "requested_at": MOMENT,
    "started_at": None,
    "completed_at": MOMENT,
    "duration_ms": 1,
    "source": Source(topic="t", partition=0, offset=0),
}
Tamper = Callable[[Path], object]


def compressed(content: bytes, compression: Compression) -> bytes:
    compressor = new_compressor(compression)
    return compressor.compress(content) + compressor.finish()


def completed(
    directory: Path,
    export_id: str,
    content: bytes,
    compression: Compression = Compression.NONE,
    **fields: Any,
) -> ExportCompleted:
    """Publish an export as a node does."""
    storage = LocalStorage(directory)
    file_format = Format.PDF if content[:4] == b"%PDF" else Format.CSV
    ending = extension(file_format, compression)
    content = compressed(content, compression)
    fields = {
        "rows": 3 if file_format == Format.PDF else 2,
        "pages": 2 if file_format == Format.PDF else None,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **fields,
    }
    part = storage.open_part(0, export_id, ending)
    event = ExportCompleted(
        **COMMON, **fields, export_id=export_id, format=file_format, location=part.location
    )
    part.append(content)
    part.sync()
    storage.decide(event)
    part.publish(event)
    return event


def cancelled(directory: Path, export_id: str) -> None:
    event = ExportCancelled(
        **COMMON, export_id=export_id, rows=0, format=Format.CSV, message="no more wanted"
    )
    LocalStorage(directory).decide(event)


def verify(directory: Path, *, header: bool | None = None) -> list[Verdict]:
    return list(Verifier(ContentVerifier(lambda _event: header)).directory(directory))


def edit(name: str, old: str, new: str) -> Tamper:
    def tamper(directory: Path) -> None:
        path = directory / name
        text = path.read_bytes()
        assert old.encode() in text
        path.write_bytes(text.replace(old.encode(), new.encode()))

    return tamper


def fifo(name: str) -> Tamper:
    """In its place: opened, it would wait for ever."""

    def tamper(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        os.mkfifo(directory / name)

    return tamper


def cancelled_with_a_file(directory: Path) -> None:
    cancelled(directory, "b")
    (directory / "b.csv").touch()


def test_what_was_published_is_good(tmp_path: Path) -> None:
    completed(tmp_path, "b", CSV)
    completed(tmp_path, "c.v1", PDF)
    cancelled(tmp_path, "a")
    (tmp_path / "README.txt").write_text("no export")
    (tmp_path / "sub").mkdir()
    digests = [hashlib.sha256(content).hexdigest() for content in (CSV, PDF)]
    assert verify(tmp_path) == [
        Verdict("a", True, "cancelled, no file"),
        Verdict("b.csv", True, f"2 rows {len(CSV)} bytes sha256 {digests[0]}"),
        Verdict("c.v1.pdf", True, f"3 rows 2 pages {len(PDF)} bytes sha256 {digests[1]}"),
    ]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (edit("a.csv", "bob", "eve"), "differs: sha256 "),
        (edit("a.csv", "bob,y\r\n", ""), "differs: bytes 18, manifest 25; sha256 "),
        (edit("a.csv", "bob", '"b\nb"'), "differs: bytes 27, manifest 25; sha256 "),
        (lambda it: (it / "a.csv").write_bytes(b""), "differs: bytes 0, manifest 25; rows 0, "),
        (lambda it: os.truncate(it / "a.csv", 24), "differs: bytes 24, manifest 25; sha256 "),
        (edit("a.manifest.json", '"rows":2', '"rows":1'), "differs: rows 2, manifest 1"),
        (edit("a.manifest.json", '"rows":2', '"rows":4'), "differs: rows 2, manifest 4"),
        (edit("a.manifest.json", '"bytes":25', '"bytes":26'), "differs: bytes 25, manifest 26"),
        (edit("a.manifest.json", '"sha256":"', '"sha256":"0'), "has a manifest that is none: "),
        (edit("a.manifest.json", '"pages":null', '"pages":1'), "differs: pages None, manifest 1"),
        (edit("a.manifest.json", '"csv"', '"pdf"'), "is not the file of its manifest: a.pdf is"),
        (edit("a.manifest.json", '"a"', '"b"'), "has the manifest of b"),
        (edit("a.manifest.json", "{", ""), "has a manifest that is none: "),
        (lambda it: (it / "a.manifest.json").unlink(), "has no manifest"),
        (lambda it: (it / "a.csv").unlink(), "isn't there, but its manifest is"),
        (lambda it: (it / "a.pdf").write_bytes(PDF), "is not the file of its manifest: a.csv is"),
        (lambda it: (it / "b.csv").write_bytes(CSV), "has no manifest"),
        (lambda it: ((it / "a.csv").unlink(), (it / "a.csv").mkdir()), "is no regular file"),
        (fifo("a.csv"), "is no regular file"),
        (fifo("b.manifest.json"), "has a manifest that is none: it is no"),
        (cancelled_with_a_file, "is there, but its export ended as cancelled"),
    ],
)
def test_each_difference_is_one_verdict(tmp_path: Path, tamper: Tamper, words: str) -> None:
    completed(tmp_path, "a", CSV)
    old = (MOMENT.timestamp(),) * 2
    tamper(tmp_path)
    for path in tmp_path.glob("*.manifest.json"):
        os.utime(path, old)  # a young one would be waited for
    (wrong,) = [verdict for verdict in verify(tmp_path) if not verdict.good]
    assert wrong.words.startswith(words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"rows": 4}, "differs: rows 3, manifest 4"), ({"pages": 1}, "differs: pages 2, manifest 1")],
)
def test_a_pdf_is_counted_too(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    completed(tmp_path, "a", PDF, **fields)
    assert [verdict.words for verdict in verify(tmp_path)] == [words]


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_rows_of_compressed_files_are_counted(tmp_path: Path, compression: Compression) -> None:
    name = f"a.v1.{extension(Format.CSV, compression)}"
    event = completed(tmp_path, "a.v1", CSV, compression)
    (verdict,) = verify(tmp_path)
    assert verdict == Verdict(name, True, f"2 rows {event.bytes} bytes sha256 {event.sha256}")
    completed(tmp_path, "b", b"ann,x\r\nbob,y\r\n", compression)
    assert [verdict.good for verdict in verify(tmp_path)] == [True, True]
    completed(tmp_path, "c", b"name,note\r\nann,1\r\n", compression)
    assert [verdict.good for verdict in verify(tmp_path)] == [True, True, False]


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda file: os.truncate(file, file.stat().st_size - 9), "differs: bytes "),
        (lambda file: os.truncate(file, 3), "differs: bytes 3, "),
        (lambda file: file.write_bytes(b""), "differs: bytes 0, "),
        (lambda file: file.write_bytes(CSV), "differs: bytes 25, "),
        (lambda file: file.write_bytes(file.read_bytes() + b"more"), "differs: bytes "),
        (lambda file: file.rename(file.with_suffix("")), "is not the file of its manifest: "),
    ],
)
def test_each_difference_of_a_compressed_one_is_one_verdict(
    tmp_path: Path, compression: Compression, tamper: Tamper, words: str
) -> None:
    completed(tmp_path, "a", CSV, compression)
    os.utime(tmp_path / "a.manifest.json", (MOMENT.timestamp(),) * 2)
    tamper(tmp_path / f"a.{extension(Format.CSV, compression)}")
    (wrong,) = [verdict for verdict in verify(tmp_path) if not verdict.good]
    assert wrong.words.startswith(words)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_a_few_bytes_that_stand_for_many_take_no_memory(
    tmp_path: Path, compression: Compression
) -> None:
    completed(tmp_path, "a", b"\n" * 100_000_000, compression, rows=99_999_999)
    tracemalloc.start()
    try:
        assert [verdict.good for verdict in verify(tmp_path)] == [True]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "header", "good"),
    [
        (b"ann,x\r\nbob,y\r\n", False, True),
        (b"name,note\r\nann,x\r\n", True, False),
        (b"1,x\r\n2,y\r\n", None, True),
        (b"ann,x\r\nbob,y\r\n", None, True),
        (b"name,note\r\n1,x\r\n", None, False),
        (b"name,note\r\n1,x\r\n", False, True),
    ],
)
def test_as_many_records_as_rows_are_right_without_a_header_line(
    tmp_path: Path, content: bytes, header: bool | None, good: bool
) -> None:
    completed(tmp_path, "a", content)
    (verdict,) = verify(tmp_path, header=header)
    assert verdict.good is good


def test_a_header_is_read_only_where_it_is_open(tmp_path: Path) -> None:
    completed(tmp_path, "a", CSV)
    completed(tmp_path, "b", PDF)
    completed(tmp_path, "c", b"ann,x\r\nbob,y\r\n")
    read: list[str] = []

    def has_header(event: ExportCompleted) -> bool:
        read.append(event.export_id)
        return False

    assert all(
        verdict.good for verdict in Verifier(ContentVerifier(has_header)).directory(tmp_path)
    )
    assert read == ["c"]


@pytest.mark.parametrize(
    ("name", "good", "words"),
    [
        ("a.csv", True, "2 rows"),
        ("a.manifest.json", True, "2 rows"),
        ("a.pdf", False, "is not the file of its manifest: a.csv is"),
        ("a", False, "is not the file of its manifest: a.csv is"),
        ("b.csv", False, "isn't there: its export ended as cancelled"),
        ("b.manifest.json", True, "cancelled, no file"),
        ("c.csv", False, "isn't there"),
        ("x" * 300, False, "can't be read: File name too long"),
    ],
)
def test_one_file_can_be_named(tmp_path: Path, name: str, good: bool, words: str) -> None:
    completed(tmp_path, "a", CSV)
    cancelled(tmp_path, "b")
    verdict = Verifier(ContentVerifier(lambda _event: None)).export(tmp_path, name)
    assert (verdict.good, verdict.words[: len(words)]) == (good, words)


def test_a_file_that_is_just_being_published_is_waited_for(tmp_path: Path) -> None:
    completed(tmp_path, "a", CSV)
    file = tmp_path / "a.csv"
    hidden = file.rename(tmp_path / ".hidden")
    timer = Timer(0.2, hidden.rename, [file])
    timer.start()
    (verdict,) = verify(tmp_path)
    timer.join()
    assert verdict.good


def test_partial_files_are_counted(tmp_path: Path) -> None:
    assert partial_files(tmp_path) == 0
    storage = LocalStorage(tmp_path)
    storage.check()
    part = storage.open_part(3, "a", Format.CSV)
    part.append(b"x")
    part.flush()
    assert partial_files(tmp_path) == 1
    assert verify(tmp_path) == []


def test_what_has_expired_may_be_gone(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for export_id, seconds in (("gone", -1), ("there", -1), ("early", 3600)):
        completed(tmp_path, export_id, CSV, expires_at=now + timedelta(seconds=seconds))
    (tmp_path / "gone.csv").unlink()
    (tmp_path / "early.csv").unlink()
    early, gone, there = verify(tmp_path)
    assert (early.name, early.good) == ("early.csv", False)
    assert (gone.name, gone.good) == ("gone.csv", True)
    assert gone.words.startswith("expired at 2")
    assert there.good
    assert there.words.endswith(", expired")


def test_a_manifest_that_is_removed_meanwhile_is_no_fault(tmp_path: Path) -> None:
    for export_id in ("a", "b"):
        cancelled(tmp_path, export_id)
    verdicts = Verifier(ContentVerifier(lambda _event: None)).directory(tmp_path)
    assert next(verdicts).good
    (tmp_path / "b.manifest.json").unlink()
    assert not list(verdicts)
