"""Rows of an XLSX, counted again from its bytes; and of what only looks like one."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.xlsx import writer as writer_module
from consumer.formats.xlsx.archive import Archive
from consumer.verify.xlsx_row_counter import XlsxRowCounter
from tests.support.xlsx import write_xlsx, xlsx_request

MIB = 1024 * 1024
CELLS = st.none() | st.text("<row r=&_x0_ \nPK\3\4", max_size=12) | st.integers()


def counted(content: bytes, piece_bytes: int = 7) -> int:
    counter = XlsxRowCounter()
    for start in range(0, len(content), piece_bytes):
        counter.feed(content[start : start + piece_bytes])
    assert counter.pages is None
    return counter.rows


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=20),
    header=st.booleans(),
    sheet_rows=st.sampled_from([2, 5, 1_000]),
    piece_bytes=st.integers(1, 3_000),
)
def test_rows_of_all_sheets_are_counted_without_headers(
    rows: list[tuple[object, object]], header: bool, sheet_rows: int, piece_bytes: int
) -> None:
    request = xlsx_request(["<row ", 'state="frozen"'], header=header, sheet="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "MOST_SHEET_ROWS", sheet_rows)
        content = write_xlsx(request, rows)
    assert counted(content, piece_bytes) == len(rows)


def test_incompressible_rows_are_counted_too() -> None:
    rows = [[chr(0x4E00 + (number * 7919) % 20_000) * 40, number] for number in range(3_000)]
    content = write_xlsx(xlsx_request(), rows)
    assert {counted(content, size) for size in (1, 4_096, 256 * 1024)} == {3_000}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip at all" * 100,
        b"PK\3\4",
        b"PK\3\4" + bytes(26) + b"no deflate" * 100,
        b"PK\5\6" + bytes(18),
    ],
)
def test_what_is_no_xlsx_has_no_rows(content: bytes) -> None:
    assert counted(content) == 0


def test_a_file_that_is_cut_off_or_damaged_is_no_error() -> None:
    content = write_xlsx(xlsx_request(), [[number, "x" * 50] for number in range(5_000)])
    assert counted(content[: len(content) // 2]) < 5_000
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    assert counted(bytes(damaged)) >= 0


def test_a_member_of_sizes_of_64_bits_is_followed() -> None:
    """As one of more than 4 GiB has them."""
    archive = Archive()
    archive.begin("xl/worksheets/sheet1.xml")
    archive.write(b"<row " * 3)
    archive.end()
    first = archive.take()
    wide = first[:-8] + b"".join(first[at:][:4] + bytes(4) for at in (-8, len(first) - 4))
    archive.add("xl/worksheets/sheet2.xml", b"<row " * 4)
    archive.finish()
    assert counted(wide + archive.take()) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xl/worksheets/sheet1.xml", "bomb"])
def test_a_bomb_takes_no_memory(name: str) -> None:
    archive = Archive()
    archive.begin(name)
    for _ in range(256):
        archive.write(bytes(MIB))
    archive.end()
    archive.add("xl/worksheets/sheet2.xml", b"<row ")
    archive.finish()
    bomb = archive.take()
    counter = XlsxRowCounter()
    tracemalloc.start()
    try:
        counter.feed(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counter.rows == 1
    assert peak < 4 * MIB


def test_a_member_that_never_ends_takes_no_memory() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    counter = XlsxRowCounter()
    counter.feed(b"PK\3\4" + bytes(22) + b"\1\0\0\0" + b"a")
    piece = deflate.compress(bytes(64 * MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    tracemalloc.start()
    try:
        for _ in range(8):
            counter.feed(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


def test_names_and_extra_fields_of_any_length_are_passed_over() -> None:
    """Not ours, but a zip all the same."""
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(b"<row ") + deflate.flush()
    name, extra = b"xl/worksheets/" + b"s" * 60_000, bytes(60_000)
    header = (
        b"PK\3\4" + bytes(22) + len(name).to_bytes(2, "little") + len(extra).to_bytes(2, "little")
    )
    assert counted(header + name + extra + packed + b"PK\7\x08" + bytes(12) + b"PK\1\2", 1_000) == 1
