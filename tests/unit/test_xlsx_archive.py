"""A zip that is written front to back, as other programs read it."""

import io
import random
import shutil
import subprocess
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from consumer.formats.xlsx.archive import Archive

GIB = 1024**3
TEXT = b"".join(b"<row r='%d'><c>%d</c></row>" % (number, number**3) for number in range(20_000))


def archive_of(members: dict[str, bytes], piece_bytes: int = 1_000) -> bytes:
    archive = Archive()
    made = b""
    for name, content in members.items():
        archive.begin(name)
        for start in range(0, len(content), piece_bytes):
            archive.write(content[start : start + piece_bytes])
            made += archive.take()
        archive.end()
    archive.add("small.xml", b"<a/>")
    archive.finish()
    return made + archive.take()


def test_members_are_read_back_by_others(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(100_000)
    members = {"xl/a.xml": TEXT, "empty": b"", "noise": noise}
    made = archive_of(members)
    with zipfile.ZipFile(io.BytesIO(made)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in members} == members
        assert read.read("small.xml") == b"<a/>"
        assert {entry.date_time for entry in read.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    if shutil.which("unzip"):
        path = tmp_path / "made.zip"
        path.write_bytes(made)
        run = subprocess.run(["unzip", "-tq", path], capture_output=True, check=False, text=True)
        assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("pieces", [1, 7, 64 * 1024, 10**7])
def test_the_bytes_do_not_depend_on_how_much_is_written_at_a_time(pieces: int) -> None:
    content = TEXT[: 20 * pieces]
    assert archive_of({"a": content}, pieces) == archive_of({"a": content}, 3_333)


def test_deflate_is_fed_alike_however_much_is_written_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stands in for zlib may make other bytes of other pieces."""
    fed: list[list[int]] = []

    class Deflate:
        def compress(self, piece: memoryview) -> bytes:
            fed[-1].append(len(piece))
            return b""

        def flush(self, _end: int) -> bytes:
            return b""

    monkeypatch.setattr("zlib.compressobj", lambda *_: Deflate())
    for cuts in ([0, 200_000], [0, 1, 65_536, 65_537, 99_999, 200_000], range(0, 200_001, 100)):
        fed.append([])
        archive = Archive()
        archive.begin("a")
        for start, end in pairwise(cuts):
            archive.write(TEXT[start:end])
        archive.end()
    assert fed == [[65_536] * 3 + [200_000 % 65_536]] * 3


def test_an_ordinary_archive_has_nothing_of_zip64_but_a_version() -> None:
    made = archive_of({"a": TEXT})
    with zipfile.ZipFile(io.BytesIO(made)) as read:
        assert [(entry.extract_version, entry.extra) for entry in read.infolist()] == [
            (45, b""),
            (20, b""),
        ]
    assert made[:10] == b"PK\3\4" + bytes([45, 0, 8, 0, 8, 0])
    assert made[14:30] == bytes(12) + bytes([1, 0, 0, 0])  # no sums, no sizes, no extra field
    assert b"PK\6\6" not in made


def test_what_lies_beyond_4_gib_is_found(tmp_path: Path) -> None:
    """A hole stands for what a larger archive would have before it."""
    archive = Archive()
    archive._size = 5 * GIB  # no seam: to write that much takes minutes and a disk
    archive.begin("far")
    archive.write(TEXT)
    archive.end()
    archive.finish()
    path = tmp_path / "sparse.zip"
    with path.open("wb") as file:
        file.seek(5 * GIB)
        file.write(archive.take())
    with zipfile.ZipFile(path) as read:
        assert read.read("far") == TEXT
        assert read.getinfo("far").header_offset == 5 * GIB
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", path], stdout=subprocess.DEVNULL, check=True)


@pytest.mark.long
def test_a_member_of_more_than_4_gib_is_read_back(tmp_path: Path) -> None:
    piece = bytes(1024) * 1024
    path = tmp_path / "large.zip"
    archive = Archive()
    with path.open("wb") as file:
        archive.begin("large")
        for _ in range(4 * 1024 + 1):
            archive.write(piece)
            file.write(archive.take())
        archive.end()
        archive.add("after", b"x")
        archive.finish()
        file.write(archive.take())
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        large = read.getinfo("large")
        assert large.file_size == 4 * GIB + len(piece)
        # Excel: only what doesn't fit stands in the extra field.
        assert large.extra == b"\1\0\x08\0" + large.file_size.to_bytes(8, "little")
        assert read.read("after") == b"x"


def test_a_member_has_to_end() -> None:
    archive = Archive()
    with pytest.raises(RuntimeError, match="no member"):
        archive.write(b"")
    archive.begin("a")
    with pytest.raises(RuntimeError, match="has not ended"):
        archive.begin("b")
