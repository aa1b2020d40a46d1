"""Puts the modules that ``sluice_client`` needs into its wheel, under that one name.

Invariant: a module in the wheel is the one in the repository, but for the roots of its imports;
none is there that isn't imported.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NAME = "sluice_client"
_MOVED = ("clients", "producer", "schemas")


class ClientModules(BuildHookInterface[Any]):
    """Hatch's hook around a build of the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the modules aside, and have them included."""
        del version
        repository = Path(self.root).parents[1]
        self._aside = TemporaryDirectory(prefix="sluice-client-")
        for module in _needed(repository):
            source = _path(repository, module)
            assert source  # noqa: S101 - it was found
            place = source.relative_to(repository)
            within = place if place.parts[0] == _NAME else Path(_NAME, place)
            moved = Path(self._aside.name, within)
            moved.parent.mkdir(parents=True, exist_ok=True)
            moved.write_text(_moved(source.read_text("utf-8")), "utf-8")
            build_data["force_include"][str(moved)] = within.as_posix()
        for name in (f"{_NAME}/py.typed", "LICENSE"):
            build_data["force_include"][str(repository / name)] = f"{_NAME}/{Path(name).name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove them."""
        del version, build_data, artifact_path
        self._aside.cleanup()


def _needed(repository: Path) -> set[str]:
    """``sluice_client`` and what it imports of this repository, with the packages around that."""
    found: set[str] = set()
    waiting = [_NAME]
    while waiting:
        module = waiting.pop()
        path = _path(repository, module)
        if module in found or path is None:  # None: a name within a module
            continue
        found.add(module)
        package, _, _ = module.rpartition(".")
        imported = [name for node in _imports(path.read_text("utf-8")) for name in _names(node)]
        waiting += [name for name in [package, *imported] if name]
    return found


def _imports(text: str) -> Iterator[ast.ImportFrom]:
    """Those of the packages that move."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and _root(node.module) in _MOVED:
            yield node
        elif isinstance(node, ast.Import):
            moved = [name.name for name in node.names if _root(name.name) in _MOVED]
            if moved:  # it would bind the root, whose name is another one in the wheel
                raise ValueError(f"line {node.lineno}: write `from …` to import {moved[0]}")


def _names(node: ast.ImportFrom) -> list[str]:
    return [str(node.module), *(f"{node.module}.{name.name}" for name in node.names)]


def _moved(text: str) -> str:
    """The module's text as it is in the wheel."""
    lines = text.splitlines(keepends=True)
    for node in _imports(text):
        line, start = lines[node.lineno - 1], node.col_offset + len("from ")
        lines[node.lineno - 1] = f"{line[:start]}{_NAME}.{line[start:]}"
    return "".join(lines)


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _path(repository: Path, module: str) -> Path | None:
    bare = repository.joinpath(*module.split("."))
    candidates = (bare / "__init__.py", bare.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)
