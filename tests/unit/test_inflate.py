"""Compressed bytes of every codec, whole, as several frames, cut off, and of enormous content."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from aiokafka import codec as aiokafka_codec

from clients.inflate import (
    MOST_KEPT_BYTES,
    MOST_WINDOW_BYTES,
    PIECE_BYTES,
    BrokenData,
    inflated_within,
    pieces,
)
from tests.support.batches import CODECS, GZIP, LZ4, SNAPPY, ZSTD, compressed, repeated
from tests.support.cpu import cpu_time
from tests.support.tiny_frames import KINDS, tiny_frames

MIB = 1024 * 1024
NOISE = os.urandom(300_000)
CONTENTS = [b"", b"x", NOISE[:1000] + b"abc" * 30_000, NOISE + b"y" * 3_000_000]


def raw_snappy(data: bytes) -> bytes:
    return bytes(aiokafka_codec.snappy_encode(data, xerial_compatible=False))


ENCODERS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "plain": (0, bytes),
    "gzip": (GZIP, aiokafka_codec.gzip_encode),
    "snappy": (SNAPPY, aiokafka_codec.snappy_encode),
    "raw snappy": (SNAPPY, raw_snappy),
    "lz4": (LZ4, aiokafka_codec.lz4_encode),
    "zstd": (ZSTD, aiokafka_codec.zstd_encode),
    "zstd 19": (ZSTD, lambda data: aiokafka_codec.zstd_encode(data, 19)),
}
FRAMED = [name for name in ENCODERS if "snappy" not in name]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_all_of_it_comes_out(name: str, content: bytes) -> None:
    codec, encode = ENCODERS[name]
    data = memoryview(encode(content))
    assert b"".join(pieces(codec, data)) == content
    whole = inflated_within(codec, data, MIB)
    assert (whole is None) == (len(content) > MIB)
    assert whole is None or bytes(whole) == content


def test_of_a_large_snappy_block_little_is_kept_between_pieces() -> None:
    """A node has as many of them half unpacked as it has partitions."""
    content = NOISE + b"y" * 22 * MIB
    data = memoryview(raw_snappy(content))
    before = resident_bytes()
    under_way = [pieces(SNAPPY, data) for _ in range(12)]
    held = [next(one) for one in under_way]
    assert resident_bytes() - before < 12 * MOST_KEPT_BYTES + 32 * MIB
    assert held[0] + b"".join(under_way[0]) == content


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", FRAMED)
def test_frames_after_each_other_are_one_content(name: str) -> None:
    codec, encode = ENCODERS[name]
    data = memoryview(encode(CONTENTS[2]) * 2)
    assert b"".join(pieces(codec, data)) == CONTENTS[2] * 2
    assert bytes(inflated_within(codec, data, MIB) or b"") == CONTENTS[2] * 2


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "plain"])
@pytest.mark.parametrize("content", CONTENTS[1:], ids=len)
def test_what_is_cut_off_or_followed_by_noise_is_not_taken_for_whole(
    name: str, content: bytes
) -> None:
    codec, encode = ENCODERS[name]
    whole = encode(content)
    for data in (whole[:-3], whole + b"noise!!!!!!", b"\xff" * 40):
        assert inflated_within(codec, memoryview(data), 4 * MIB) is None
        try:
            given = b"".join(pieces(codec, memoryview(data)))
        except BrokenData:
            continue
        assert codec == ZSTD, "only zstd's end isn't noticed; the records' own lengths are"
        assert len(given) < len(content)


def test_an_unknown_codec_is_refused() -> None:
    assert inflated_within(5, memoryview(b"x"), MIB) is None
    with pytest.raises(BrokenData, match="codec 5"):
        next(pieces(5, memoryview(b"x")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
def test_a_content_of_any_size_takes_a_few_pieces_of_memory(name: str) -> None:
    size = 200 * MIB
    data = memoryview(compressed(CODECS[name], repeated(b"\0", size)))
    tracemalloc.start()
    assert inflated_within(CODECS[name], data, MIB) is None
    longest = given = 0
    for piece in pieces(CODECS[name], data):
        longest, given = max(longest, len(piece)), given + len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (given, longest <= PIECE_BYTES) == (size, True)
    assert peak < len(data) + 4 * MIB


@pytest.mark.parametrize("size", [MIB - 4096, 18 * MIB])
@pytest.mark.parametrize("kind", KINDS)
def test_at_once_tiny_frames_take_no_time(kind: str, size: int) -> None:
    """It is done on the event loop; 200,000 blocks of 5 bytes took 0.24 s of it."""
    data = memoryview(tiny_frames(kind, b"x" * MIB, size))
    with cpu_time() as took:
        whole = inflated_within(CODECS[kind], data, MIB)
    assert took.seconds < 0.12
    counted = kind in {"gzip", "snappy"}
    assert (whole is None) == (counted or len(data) > MIB)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_frames_take_time_that_is_linear_in_their_number(kind: str) -> None:
    """4 MB of gzip took more than a minute."""
    content = os.urandom(250_000)
    data = memoryview(tiny_frames(kind, content, 4 * MIB))
    with cpu_time() as took:
        assert b"".join(pieces(CODECS[kind], data)) == content
    assert took.seconds < 5, "0.1 to 0.8 s on a machine that does nothing else"


def test_a_zstd_window_beyond_the_bound_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = b"".join(stream.compress(piece) for piece in repeated(b"\0", 2 * MOST_WINDOW_BYTES))
    with pytest.raises(BrokenData, match="window of 134,217,728 bytes, more than 8,388,608"):
        next(pieces(ZSTD, memoryview(data + stream.flush())))


def test_a_snappy_block_that_claims_gigabytes_is_refused() -> None:
    claim = b"\xff\xff\xff\xff\x0f" + b"\0" * 100
    assert inflated_within(SNAPPY, memoryview(claim), MIB) is None
    with pytest.raises(BrokenData, match="4294967295 bytes"):
        next(pieces(SNAPPY, memoryview(claim)))
