"""Compressed files: read by the commands that people have, the same bytes however they came."""

import gzip
import shutil
import subprocess
import tracemalloc
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.compression import new_compressor
from schemas.vocabulary import Compression
from tests.formats.exports import new_writer, rows

COMMANDS = {Compression.GZIP: ["gzip", "-dc"], Compression.ZSTD: ["zstd", "-dcq"]}
TESTS = {Compression.GZIP: ["gzip", "-t"], Compression.ZSTD: ["zstd", "-tq"]}
compressions = pytest.mark.parametrize("compression", COMMANDS)
CSV = new_writer().append(rows(3_000))


def compressed(content: bytes, compression: Compression, cuts: list[int] | None = None) -> bytes:
    compressor = new_compressor(compression)
    places = [0, *sorted(min(cut, len(content)) for cut in cuts or ()), len(content)]
    pieces = [compressor.compress(content[start:end]) for start, end in pairwise(places)]
    return b"".join(pieces) + compressor.finish()


def run(command: list[str], content: bytes) -> bytes:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True).stdout


@compressions
@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, len(CSV)])
def test_the_commands_give_back_what_went_in(compression: Compression, size: int) -> None:
    content = CSV[:size]
    made = compressed(content, compression)
    run(TESTS[compression], made)
    assert run(COMMANDS[compression], made) == content


def test_libraries_do_too_and_see_one_member_and_one_frame() -> None:
    assert gzip.decompress(compressed(CSV, Compression.GZIP)) == CSV
    frame = compressed(CSV, Compression.ZSTD)
    assert zstandard.ZstdDecompressor().stream_reader(frame, read_across_frames=False).read() == CSV
    assert zstandard.get_frame_parameters(frame).has_checksum


@compressions
def test_it_is_smaller(compression: Compression) -> None:
    assert len(compressed(CSV, compression)) < len(CSV) / 3


def test_nothing_is_changed_without_compression() -> None:
    assert compressed(CSV, Compression.NONE, [7, 50_000]) == CSV


@compressions
@given(cuts=st.lists(st.integers(0, len(CSV)), max_size=20))
def test_the_bytes_do_not_depend_on_the_cuts(compression: Compression, cuts: list[int]) -> None:
    assert compressed(CSV, compression, cuts) == compressed(CSV, compression)


@compressions
def test_nor_does_a_compressor_of_blocks_see_any_but_blocks_of_one_size(
    compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zlib of others than zlib's makes other bytes of other cuts, so it must not see them."""
    seen: list[int] = []
    compressor = new_compressor(compression)
    inner = compressor._blocks  # type: ignore[attr-defined]

    class Seen:
        def compress(self, data: bytes) -> bytes:
            seen.append(len(data))
            return bytes(inner.compress(data))

        def finish(self) -> bytes:
            return bytes(inner.finish())

    monkeypatch.setattr(compressor, "_blocks", Seen())
    for size in (1, 70_000, 5, 32 * 1024, 99_999):
        compressor.compress(b"x" * size)
    compressor.finish()
    assert set(seen[:-1]) == {32 * 1024}


@compressions
def test_no_time_and_no_system_is_in_the_file(compression: Compression) -> None:
    if compression is Compression.GZIP:
        assert compressed(b"x", compression)[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert compressed(CSV, compression) == compressed(CSV, compression)


@compressions
def test_memory_does_not_grow_with_the_file(compression: Compression) -> None:
    compressor = new_compressor(compression)
    tracemalloc.start()
    try:
        for _ in range(40):
            compressor.compress(CSV)
            tracemalloc.reset_peak()
            compressor.compress(CSV)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert peak < held + 4 * len(CSV)
