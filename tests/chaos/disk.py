"""A small file system of its own that can be filled up and freed: a tmpfs, where root may mount."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BALLAST = ".ballast"


class Disk:
    """A directory; ``limited`` says whether it can be filled."""

    def __init__(self, root: Path, *, limited: bool) -> None:
        self.root = root
        self.limited = limited
        self.storage = root / "exports"
        self.scratch = root / "scratch"

    def fill(self) -> None:
        """Let a ballast file take all the room that is left."""
        descriptor = os.open(self.root / _BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            room = os.statvfs(self.root)
            with contextlib.suppress(OSError):
                os.posix_fallocate(descriptor, 0, room.f_bavail * room.f_frsize)
            offset = os.fstat(descriptor).st_size
            while count := _written(descriptor, offset):
                offset += count
        finally:
            os.close(descriptor)

    def is_full(self) -> bool:
        """Whether a write of one byte is refused with ENOSPC."""
        probe = self.root / ".full"
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            return _written(descriptor, 0) == 0
        finally:
            os.close(descriptor)
            probe.unlink()

    def free(self) -> None:
        """Remove the ballast."""
        (self.root / _BALLAST).unlink(missing_ok=True)


def _written(descriptor: int, offset: int) -> int:
    try:
        return os.pwrite(descriptor, b"\0" * 4096, offset)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return 0
        raise


@contextmanager
def small_disk(root: Path, mib: int) -> Iterator[Disk]:
    """A tmpfs of so many MiB at ``root`` for the block; a plain directory where it is forbidden."""
    root.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(root)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    disk = Disk(root, limited=mounted)
    disk.storage.mkdir()
    disk.scratch.mkdir()
    try:
        yield disk
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(root)], check=True)
