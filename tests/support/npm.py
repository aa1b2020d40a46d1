"""Node's packages for tests: exact versions, installed once into a cache that git ignores."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_CACHE = Path(__file__).parents[2] / ".node"
_INSTALL_SECONDS = 300


def require_tool(*names: str) -> None:
    """Skip the test where one of these programs is not on the PATH."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def node_modules(dependencies: dict[str, str]) -> Path:
    """A ``node_modules`` directory with these packages; skips where Node or npm is missing.

    No script of a package is run. Two sessions at once may both install; one's is kept.
    """
    require_tool("node", "npm")
    package = json.dumps({"private": True, "dependencies": dependencies}, sort_keys=True)
    directory = _CACHE / hashlib.sha256(package.encode()).hexdigest()[:16]
    if not directory.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as fresh:
            whole = Path(fresh) / "whole"
            whole.mkdir()
            (whole / "package.json").write_text(package)
            _install(whole)
            if not directory.exists():
                whole.rename(directory)
    return directory / "node_modules"


def _install(directory: Path) -> None:
    options = [
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--loglevel=error",
    ]
    done = subprocess.run(
        ["npm", "install", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
