import asyncio
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from producer.sources.csv_source import read_csv
from producer.sources.json_source import read_ndjson
from producer.sources.reading import RowStream
from producer.sources.table import SourceError
from schemas.records import Row


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, io.FileIO]]:
    """A pipe's ends: to read, to write."""
    reader, writer = map(io.FileIO, os.pipe(), ("r", "w"))
    with reader, writer:
        yield reader, writer


def csv_stream(file: io.FileIO) -> RowStream:
    return RowStream("orders.csv", lambda: io.FileIO(file.fileno(), closefd=False), read_csv)


async def all_rows(stream: RowStream) -> list[Row]:
    return [row async for chunk in stream.chunks() for row in chunk]


async def test_a_files_rows_come_in_order_in_chunks(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("n,t\n" + "".join(f"{n},text {n}\n" for n in range(25_000)))
    async with RowStream("orders.csv", lambda: io.FileIO(file), read_csv) as stream:
        assert stream.columns == ("n", "t")
        chunks = [chunk async for chunk in stream.chunks()]
        assert stream.bytes_read == file.stat().st_size
    assert [row for chunk in chunks for row in chunk] == [
        [str(n), f"text {n}"] for n in range(25_000)
    ]
    assert max(map(len, chunks)) == 1_000


async def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("n,t\n")
    async with RowStream("orders.csv", lambda: io.FileIO(file), read_csv) as stream:
        assert await all_rows(stream) == []


async def test_rows_of_a_slow_pipe_come_before_it_goes_on(
    pipe: tuple[io.FileIO, io.FileIO],
) -> None:
    reader, writer = pipe
    writer.write(b"n\n1\n2\n3")
    async with csv_stream(reader) as stream:
        chunks = stream.chunks()
        async with asyncio.timeout(10):
            assert await anext(chunks) == [["1"], ["2"]]
            writer.write(b"4\n5\n")
            assert await anext(chunks) == [["34"], ["5"]]
            writer.close()
            assert [chunk async for chunk in chunks] == []


async def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[io.FileIO, io.FileIO]) -> None:
    reader, writer = pipe
    os.set_blocking(reader.fileno(), False)
    writer.write(b"n\n1\n")
    async with csv_stream(reader) as stream:
        chunks = stream.chunks()
        async with asyncio.timeout(10):
            assert await anext(chunks) == [["1"]]
            asyncio.get_running_loop().call_later(0.05, writer.write, b"2\n")
            assert await anext(chunks) == [["2"]]
            writer.close()
            assert [chunk async for chunk in chunks] == []


async def test_large_rows_come_in_small_chunks(tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    file.write_text(('{"t": "' + "x" * 100_000 + '"}\n') * 50)
    async with RowStream("o", lambda: io.FileIO(file), read_ndjson) as stream:
        chunks = [chunk async for chunk in stream.chunks()]
    assert sum(map(len, chunks)) == 50
    assert max(map(len, chunks)) <= 6  # that is 256 KiB twice, at most


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "orders.csv: there is no header row to take the columns from"),
        ("a\n1\n1,2\n", "orders.csv: line 3: 2 cells, where the header has 1"),
    ],
)
async def test_what_is_wrong_begins_with_the_files_name(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "any"
    file.write_text(content)
    with pytest.raises(SourceError) as caught:
        async with RowStream("orders.csv", lambda: io.FileIO(file), read_csv) as stream:
            await all_rows(stream)
    assert str(caught.value) == message


async def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    for file, reason in ((tmp_path, "Is a directory"), (tmp_path / "n", "No such file")):
        with pytest.raises(SourceError, match=f"^x: can't be read: {reason}"):
            async with RowStream("x", lambda file=file: io.FileIO(file), read_csv):  # type: ignore[misc]  # mypy can't type a default
                pass


async def test_a_defect_in_a_source_comes_out_and_hangs_nobody() -> None:
    with pytest.raises(ZeroDivisionError):
        async with RowStream("x", lambda: io.FileIO(1 // 0), read_csv):
            pass


async def test_only_so_much_is_read_ahead(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("n\n" + "0123456789\n" * 300_000)
    taken = 0
    async with RowStream("x", lambda: io.FileIO(file), read_csv) as stream:
        async for chunk in stream.chunks():
            taken += 11 * len(chunk)
            sum(range(50_000))  # slower than the thread, which would be far ahead by now
            # Two chunks wait, a third is in the thread's hands; the buffer is read as a whole.
            assert stream.bytes_read - taken < 3 * 11_000 + 2 * 256 * 1024


async def test_the_thread_ends_when_nobody_wants_more(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("n\n" + "0123456789\n" * 300_000)
    before = set(threading.enumerate())
    async with RowStream("x", lambda: io.FileIO(file), read_csv) as stream:
        await anext(stream.chunks())
        (reading,) = set(threading.enumerate()) - before
    await asyncio.to_thread(reading.join, 10)
    assert not reading.is_alive()
