"""A launched program: no longer lived than its parent, free of its environment. No Java here."""

import os
import select
import signal
import subprocess
import sys

import pytest

from broker import launch

LAUNCHER = [sys.executable, "-I", "-S", launch.__file__]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")


def launched(*command: str) -> subprocess.CompletedProcess[str]:
    arguments = [*LAUNCHER, str(os.getpid()), *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)


@linux_only
def test_it_dies_with_its_parent() -> None:
    child = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    program = (
        "import os, subprocess, sys;"
        f"command = [*{LAUNCHER!r}, str(os.getpid()), sys.executable, '-c', {child!r}];"
        "subprocess.Popen(command, start_new_session=True).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with parent:
        try:
            assert parent.stdout is not None
            descriptor = os.pidfd_open(int(parent.stdout.readline()))
            assert not select.select([descriptor], [], [], 0)[0]
        finally:
            parent.kill()  # it would be waited for
        assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


@linux_only
def test_it_does_not_start_when_its_parent_is_gone() -> None:
    another_process = "1"
    gone = subprocess.run(
        [*LAUNCHER, another_process, sys.executable, "-c", "print(1)"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, b"", b"the parent is gone\n")


def test_it_sees_nothing_of_our_environment() -> None:
    result = launched(sys.executable, "-c", "import os; print(dict(os.environ))")
    assert result.stdout == "{'LC_ALL': 'C.UTF-8'}\n"


def test_it_can_be_terminated_even_if_we_ignore_that() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        result = launched(
            sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGTERM).name)"
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert result.stdout == "SIG_DFL\n"


def test_a_program_that_this_system_cannot_run_is_reported_in_one_line() -> None:
    result = launched("/nowhere/java")
    assert result.returncode == 1
    assert result.stderr == (
        "this system can't run /nowhere/java (No such file or directory); it is built for glibc\n"
    )
