"""The Node originals: installed by the committed lock, whose sha512 sums npm verifies.

The lock names no host, so npm asks whatever registry it is set up for. Invariant: nothing is
installed outside ``bench/node/node_modules``, and no script of a package is run.
"""

import json
import shutil
import subprocess
from pathlib import Path

NODE_DIRECTORY = Path(__file__).parent / "node"
_INSTALLED = NODE_DIRECTORY / "node_modules" / ".package-lock.json"
_INSTALL_SECONDS = 300


def why_no_node() -> str | None:
    """Install the packages; None, or in one line why the originals can't take part."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node or npm is missing: the Node originals are left out"
    if _is_installed():
        return None
    try:
        done = subprocess.run(
            ["npm", "ci"],  # noqa: S607 - found on the PATH, as node is
            cwd=NODE_DIRECTORY,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm ci took more than {_INSTALL_SECONDS} s: the Node originals are left out"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return f"npm ci failed ({last}): the Node originals are left out"
    return None


def _is_installed() -> bool:
    """Whether what npm says it installed is what the lock wants."""
    if not _INSTALLED.exists():
        return False
    wanted, there = (_sums(path) for path in (NODE_DIRECTORY / "package-lock.json", _INSTALLED))
    return wanted == there


def _sums(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text("utf-8"))["packages"]
    return {name: package["integrity"] for name, package in packages.items() if name}


def node_version() -> str:
    """Such as ``v20.1.0``."""
    done = subprocess.run(
        ["node", "--version"],  # noqa: S607 - found on the PATH
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
