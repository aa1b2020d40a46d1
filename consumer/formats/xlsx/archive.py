"""A zip written front to back: members one after the other, the directory at the end.

Sums and sizes are known when a member has ended, so they stand behind it, in a data descriptor. Of
ZIP64 Excel reads this much: the version 4.5 in the header of a member that may pass 4 GiB, without
an extra field there; sizes of 64 bits behind it and in the directory where it did. It reads no file
of more than 4 GiB; others do. Invariant: deflate is given blocks of one size, however much is
written at a time, so the bytes depend on the content alone, with zlib-ng in place of zlib too.
"""

import zlib
from collections.abc import Iterator
from struct import Struct

# Each is packed by itself and ends at a whole byte, so that an open member keeps less than a block,
# and none of deflate's state, which is 256 KiB. With 128 KiB files are 5 % smaller, and an open
# export keeps twice as much.
_BLOCK_BYTES = 64 * 1024
# Level 6 makes files 17 % smaller and takes twice as long.
_LEVEL = 1

# Versions needed to extract, in tenths: of deflate, and of ZIP64.
_VERSION, _VERSION_64 = 20, 45
# Of the flags: sum and sizes are in a descriptor behind the content.
_SIZES_FOLLOW = 1 << 3
_TIME_AND_DATE = 0x0021_0000  # midnight of 1980-01-01: no clock shows
_MOST_32 = 0xFFFF_FFFF
_MOST_16 = 0xFFFF

# APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.9, 4.3.12, 4.3.14, 4.3.15, 4.3.16 and 4.5.3
_LOCAL_HEADER = Struct("<4s3H4L2H")
_DESCRIPTOR, _DESCRIPTOR_64 = Struct("<4s3L"), Struct("<4sL2Q")
_ENTRY = Struct("<4s4H4L5H2L")
_END_64, _LOCATOR_64 = Struct("<4sQ2H2L4Q"), Struct("<4sLQL")
_END = Struct("<4s4H2LH")


class Archive:
    """``begin``, ``write`` and ``end`` each member, or ``add`` it whole; then ``finish``.

    ``take`` what is ready at any time. Names are ASCII.
    """

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._size = 0
        self._directory: list[bytes] = []
        self._member: _Member | None = None

    def take(self) -> bytes:
        """The bytes that are ready and weren't taken yet."""
        ready = b"".join(self._ready)
        self._ready.clear()
        return ready

    def begin(self, name: str) -> None:
        """Begin a member of any size."""
        self._begin(name, _VERSION_64)

    def write(self, content: bytes) -> None:
        """Write some more of the member that was begun."""
        for packed in self._open_member.pack(content):
            self._append(packed)

    def end(self) -> None:
        """End the member."""
        member, self._member = self._open_member, None
        self._append(member.rest())
        self._append(member.descriptor())
        self._directory.append(member.entry())

    def add(self, name: str, content: bytes) -> None:
        """Write a small member."""
        self._begin(name, _VERSION)
        self.write(content)
        self.end()

    def finish(self) -> None:
        """Write the directory; nothing follows it."""
        offset, count = self._size, len(self._directory)
        for entry in self._directory:
            self._append(entry)
        end, size = self._size, self._size - offset
        if max(offset, size) >= _MOST_32 or count >= _MOST_16:
            # The size of this record is given without its signature and the size itself.
            facts = (_END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, count, count, size, offset)
            self._append(_END_64.pack(b"PK\6\6", *facts))
            self._append(_LOCATOR_64.pack(b"PK\6\7", 0, end, 1))
        counts = (min(count, _MOST_16),) * 2
        place = (min(size, _MOST_32), min(offset, _MOST_32))
        self._append(_END.pack(b"PK\5\6", 0, 0, *counts, *place, 0))

    @property
    def _open_member(self) -> "_Member":
        if self._member is None:
            raise RuntimeError("no member was begun")
        return self._member

    def _begin(self, name: str, version: int) -> None:
        if self._member is not None:
            raise RuntimeError("the member before has not ended")
        self._member = _Member(name.encode("ascii"), version, self._size)
        self._append(self._member.local_header())

    def _append(self, ready: bytes) -> None:
        self._size += len(ready)
        self._ready.append(ready)


class _Member:
    """A member on its way into the archive, where it lies at ``offset``."""

    def __init__(self, name: bytes, version: int, offset: int) -> None:
        self._name = name
        self._version = version
        self._offset = offset
        self._waiting = b""
        self._sum = self._size = self._packed_size = 0

    def pack(self, content: bytes) -> Iterator[bytes]:
        """The packed bytes that are ready with some more content."""
        self._sum = zlib.crc32(content, self._sum)
        self._size += len(content)
        waiting = memoryview(self._waiting + content)
        whole = len(waiting) // _BLOCK_BYTES * _BLOCK_BYTES
        for start in range(0, whole, _BLOCK_BYTES):
            yield self._packed(waiting[start : start + _BLOCK_BYTES], zlib.Z_SYNC_FLUSH)
        self._waiting = bytes(waiting[whole:])

    def rest(self) -> bytes:
        """The last packed bytes."""
        return self._packed(self._waiting, zlib.Z_FINISH)

    def _packed(self, block: bytes | memoryview, end: int) -> bytes:
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = deflate.compress(block) + deflate.flush(end)
        self._packed_size += len(packed)
        return packed

    def local_header(self) -> bytes:
        """What stands before the packed bytes."""
        facts = (self._version, _SIZES_FOLLOW, zlib.DEFLATED, _TIME_AND_DATE, 0, 0, 0)
        return _LOCAL_HEADER.pack(b"PK\3\4", *facts, len(self._name), 0) + self._name

    def descriptor(self) -> bytes:
        """What stands behind them."""
        form = _DESCRIPTOR_64 if self._is_large else _DESCRIPTOR
        return form.pack(b"PK\7\x08", self._sum, self._packed_size, self._size)

    def entry(self) -> bytes:
        """What the directory has of it."""
        wide = [self._size, self._packed_size, self._offset]
        extra = b"".join(_wide(fact) for fact in wide if fact >= _MOST_32)
        if extra:
            extra = Struct("<2H").pack(1, len(extra)) + extra
        size, packed_size, offset = (min(fact, _MOST_32) for fact in wide)
        version = max(self._version, _VERSION_64 if extra else 0)
        facts = (version, version, _SIZES_FOLLOW, zlib.DEFLATED, _TIME_AND_DATE)
        sizes = (self._sum, packed_size, size)
        lengths = (len(self._name), len(extra), 0, 0, 0)
        packed = _ENTRY.pack(b"PK\1\2", *facts, *sizes, *lengths, 0, offset)
        return packed + self._name + extra

    @property
    def _is_large(self) -> bool:
        return max(self._size, self._packed_size) >= _MOST_32


def _wide(fact: int) -> bytes:
    return fact.to_bytes(8, "little")
