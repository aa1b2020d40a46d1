"""What `make install` does of the native encoders, by a toolchain that only looks like one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.native import REQUIRED, leave_out

ROOT = Path(__file__).parents[2]
USED = ("sh", "dirname", "env", "sed", "grep", "uname")
"""By make or the script."""


def program(path: Path, script: str = "exit 0") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for programs, which has no toolchain."""
    path = tmp_path / "tools"
    path.mkdir()
    for name in USED:
        if found := shutil.which(name):
            (path / name).symlink_to(found)
    return path


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment whose Python does nothing but write down what for."""
    path = tmp_path / "venv"
    program(path / "bin/python", f'echo "$*" >> {tmp_path}/python.log')
    program(path / "bin/maturin")
    return path


def install(tools: Path, venv: Path, **variables: str) -> list[str]:
    """Run the script; the lines that it says."""
    script = ROOT / "native/install.sh"
    ran = subprocess.run(
        ["/bin/sh", script, venv],
        env={"PATH": str(tools), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not ran.stderr
    return ran.stdout.splitlines()


def is_removed(venv: Path) -> bool:
    """Whether the module of an earlier build was."""
    return "uninstall" in (venv.parent / "python.log").read_text("utf-8")


def test_without_cargo_one_line_says_that_python_encodes(tools: Path, venv: Path) -> None:
    (line,) = install(tools, venv)
    assert line.startswith("sluice: Python encodes: there is no cargo, ")
    assert is_removed(venv)


def test_who_wants_none_has_none(tools: Path, venv: Path) -> None:
    program(tools / "cargo")
    (line,) = install(tools, venv, NATIVE="no")
    assert line.startswith("sluice: Python encodes: NATIVE=no ")
    assert is_removed(venv)


def test_a_build_that_fails_says_where_and_how_to_try_again(tools: Path, venv: Path) -> None:
    program(tools / "cargo")
    program(venv / "bin/maturin", "echo no linker; exit 1")
    line = install(tools, venv)[-1]
    assert line.startswith("sluice: Python encodes: the native encoders did not build, see ")
    assert f"rm {venv}/.native-*; make install" in line
    assert (venv / "native-build.log").read_text("utf-8") == "no linker\n"
    assert is_removed(venv)


def test_an_environment_of_conda_is_no_obstacle(tools: Path, venv: Path) -> None:
    """Maturin builds for none of two environments."""
    program(tools / "cargo")
    program(venv / "bin/maturin", '[ -z "$CONDA_PREFIX" ] && [ -n "$VIRTUAL_ENV" ]')
    lines = install(tools, venv, CONDA_PREFIX="/opt/conda")
    assert lines[-1] == "sluice: native encoders are built, and will run"
    assert not is_removed(venv)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_a_toolchain_that_comes_later_is_used(tools: Path, tmp_path: Path) -> None:
    makefile = tmp_path / "shown.mk"
    text = (ROOT / "Makefile").read_text("utf-8")
    makefile.write_text(f"{text}\nshown:\n\t@echo $(NATIVE_STAMP);\n", "utf-8")

    def stamp(*arguments: str) -> str:
        make = [
            shutil.which("make") or "make",
            "--no-print-directory",
            "-f",
            str(makefile),
            "shown",
        ]
        environment = {name: os.environ[name] for name in ("HOME",) if name in os.environ}
        ran = subprocess.run(
            [*make, *arguments],
            cwd=ROOT,
            env={**environment, "PATH": str(tools)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.strip()

    without = stamp()
    program(tools / "cargo")
    assert stamp() == without  # libdeflate is in C
    program(tools / "cc")
    assert stamp() != without
    assert stamp("NATIVE=no") != stamp()


def test_where_encoders_are_required_no_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a build that fails on all machines of the workflow would be seen by none."""
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception):
        leave_out()
    monkeypatch.setenv(REQUIRED, "yes")
    with pytest.raises(pytest.fail.Exception, match="can't be used"):
        leave_out()
