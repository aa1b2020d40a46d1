"""An object as a file of Python's: what is read, from where, and of which version."""

import io
import tracemalloc

import obstore
import pytest
from obstore.store import MemoryStore

from consumer.errors import StorageUnavailable
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.reading import ObjectFile, ObjectStream

CONTENT = b"".join(b"%07d\n" % number for number in range(500_000))  # 4 MB


class Objects:
    """A bucket with one object."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        obstore.put(self.store, "a", CONTENT)
        self.bucket = Bucket(self.store, "s3://bucket")

    def open(self) -> ObjectStream:
        found = self.bucket.head("a")
        assert found
        return ObjectStream(ObjectFile(self.bucket, found, found.etag))


@pytest.fixture
def objects() -> Objects:
    return Objects()


def test_lines_are_read_in_constant_memory(objects: Objects) -> None:
    tracemalloc.start()
    try:
        with io.BufferedReader(objects.open(), 256 * 1024) as lines:
            assert sum(1 for _ in lines) == 500_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


def test_it_can_be_sought_in_from_either_end_and_its_end_reads_as_nothing(
    objects: Objects,
) -> None:
    stream = objects.open()
    assert stream.seek(-8, io.SEEK_END) == len(CONTENT) - 8
    assert stream.read(100) == b"0499999\n"
    assert stream.read(1) == b""
    assert stream.seek(-16, io.SEEK_CUR) == len(CONTENT) - 16
    assert stream.read(8) == b"0499998\n"
    assert stream.seek(0) == 0
    assert stream.read(8) == b"0000000\n"


def test_what_takes_its_place_meanwhile_is_never_read_on(objects: Objects) -> None:
    stream = objects.open()
    assert stream.read(8) == b"0000000\n"
    obstore.put(objects.store, "a", CONTENT.replace(b"0", b"x"))
    stream.seek(-8, io.SEEK_END)
    with pytest.raises(StorageUnavailable, match="s3://bucket/a can't be read: another one has"):
        stream.read(8)
