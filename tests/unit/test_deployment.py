"""The files in compose/ agree with the program and with each other."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

COMPOSE = Path(__file__).parents[2] / "compose"
KUBERNETES = (COMPOSE / "kubernetes.yaml").read_text("utf-8")


def only(pattern: str, text: str) -> str:
    (found,) = re.findall(pattern, text)
    return str(found)


def test_kubernetes_runs_the_image_that_make_builds() -> None:
    assert only(r"image: (\S+)", KUBERNETES) == f"sluice:{version('sluice')}"


def test_the_partitions_keep_the_slots_of_all_nodes_busy() -> None:
    nodes = int(only(r"replicas: (\d+)", KUBERNETES))
    assert int(only(r'SLUICE_PARTITIONS: "(\d+)"', KUBERNETES)) == 6 * nodes


def test_the_image_has_each_package_of_the_wheel() -> None:
    pyproject = tomllib.loads((COMPOSE.parent / "pyproject.toml").read_text("utf-8"))
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(
        r"^COPY (\w+) \./", (COMPOSE / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    sent = (COMPOSE.parent / ".dockerignore").read_text("ascii").split("\n")
    assert copied == wheel["packages"]
    assert {f"!{name}" for name in wheel["packages"]} <= {*sent}
    assert {*wheel["exclude"]} <= {*sent}
