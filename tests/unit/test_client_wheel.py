"""The wheel for services: our packages under one name, and the libraries that it says it needs."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import sluice_client
from tests.support.client_wheel import WHEEL_SOURCE, build_client_wheel

ROOT = WHEEL_SOURCE.parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_client_wheel(tmp_path_factory.mktemp("dist"))


def dependencies(path: Path) -> dict[str, str]:
    """Each dependency as it is written, by its name."""
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    return {re.split(r"[\[>]", one)[0]: one for one in project["dependencies"]}


def imported_roots(wheel: Path) -> set[str]:
    """What its modules import from elsewhere than Python and itself."""
    with zipfile.ZipFile(wheel) as archive:
        texts = [archive.read(name) for name in archive.namelist() if name.endswith(".py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    found = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    found |= {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names


def test_it_has_one_name_at_its_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        assert "sluice_client/py.typed" in archive.namelist()
        assert b"Apache License" in archive.read("sluice_client/LICENSE")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sluice_client"}


def test_its_version_is_that_of_sluice(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert wheel.name == f"sluice_client-{project['version']}-py3-none-any.whl"


def test_it_needs_what_it_says_and_nothing_else(wheel: Path) -> None:
    ours, all_of_them = (
        dependencies(path) for path in (WHEEL_SOURCE / "pyproject.toml", ROOT / "pyproject.toml")
    )
    assert ours.items() <= all_of_them.items()
    # An extra of aiokafka installs cramjam; what tzdata has is no module.
    assert imported_roots(wheel) - {"cramjam", "sluice_client"} == ours.keys() - {"tzdata"}


def test_beside_these_it_is_imported_without_the_repository(wheel: Path) -> None:
    # Without ``site``, so that what an editable installation adds to the path isn't there.
    paths = [str(wheel), *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
    code = (
        f"import sys; sys.path += {paths!r}; import sluice_client\n"
        "sluice_client.ExportRequested.model_validate({'export_id': 'a', 'format': 'pdf', "
        "'columns': ['b'], 'options': {'timezone': 'Asia/Tokyo'}})\n"
        "print(*(name for name in sluice_client.__all__ if hasattr(sluice_client, name)))\n"
        "print(*{'schemas', 'producer', 'clients', 'consumer', 'sluice'} & sys.modules.keys())"
    )
    printed = subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)
    assert printed == f"{' '.join(sluice_client.__all__)}\n\n"


def test_an_import_that_could_not_move_ends_the_build(tmp_path: Path) -> None:
    build = tmp_path / "sluice_client" / "wheel"
    build.mkdir(parents=True)
    for path in WHEEL_SOURCE.iterdir():
        if path.is_file():
            (build / path.name).write_text(path.read_text("utf-8"), "utf-8")
    (tmp_path / "pyproject.toml").write_text('version = "1"\n')
    (tmp_path / "sluice_client" / "__init__.py").write_text("import schemas.topics\n")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=build,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "line 1: write `from …` to import schemas.topics" in done.stdout + done.stderr
