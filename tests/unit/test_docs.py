"""The documents say what the code says: settings, commands, metrics, reasons, examples, links."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from consumer.metrics.catalogue import (
    LABELS,
    SIZES,
    UNKNOWN_FORMAT,
    ContractMetrics,
    Dropped,
)
from consumer.metrics.document import declared
from producer.retry.attempts import RETRIED
from schemas import exact_json
from schemas.codec import decode_request
from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    cloud_event_headers,
    decode_event,
)
from schemas.options import OPTIONS
from schemas.records import decode_batch
from schemas.vocabulary import ColumnType, DeadLetterReason, FailReason, Format
from sluice.cli import application
from sluice.settings import PREFIX, Settings
from tests.model.diagram import drawn

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PACKAGES = ("broker", "clients", "consumer", "producer", "schemas", "sluice", "sluice_client")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if "node_modules" not in path.parts),
]
CONTRACT = (ROOT / "docs" / "contract.md").read_text("utf-8")
OPENAPI: dict[str, Any] = exact_json.loads((ROOT / "sluice/http/openapi.json").read_bytes())


def section(title: str) -> str:
    """What stands below a heading of the contract."""
    (_, _, below) = CONTRACT.partition(f"\n## {title}\n")
    assert below, f"the contract has no section {title!r}"
    return below.partition("\n## ")[0]


def tables(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in a text, headings and rules apart."""
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        is_body = line.startswith("| ") and before.startswith("|")
        if is_body:
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            yield [cell.strip().replace("\\|", "|") for cell in cells]


def code(cell: str) -> str:
    """The first code span of a cell."""
    found = re.search("`([^`]+)`", cell)
    return found[1] if found else ""


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


# Settings


def shown_default(default: object) -> str:
    if default is None or default == "":
        return "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {code(name): default for name, _, default, _ in tables(section("Settings"))}
    assert documented == {
        f"{PREFIX}{name.upper()}": shown_default(field.default)
        for name, field in Settings.model_fields.items()
    }


def test_the_documents_name_no_setting_that_is_none() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for path in DOCUMENTS:
        named = set(re.findall(r"\bSLUICE_[A-Z_]+[A-Z](?![A-Z_*])", path.read_text("utf-8")))
        own = {name for name in named if not name.startswith("SLUICE_TEST_")}
        assert own <= known, path


# Commands


def commands() -> Iterator[tuple[str, Any]]:
    """Each command with its click object, groups followed down."""
    waiting = [("sluice", typer.main.get_command(application()))]
    while waiting:
        name, command = waiting.pop()
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            waiting += [(f"{name} {word}", member) for word, member in below.items()]


def command_of(synopsis: str) -> str:
    """``sluice topics create`` of ``sluice topics create [--x]``: its words in lower case."""
    words = re.match(r"sluice(?: [a-z][a-z-]*)+", synopsis)
    return words[0] if words else ""


def test_every_command_is_documented_with_its_options() -> None:
    synopses = {command_of(code(cell)): code(cell) for cell, _ in tables(section("Commands"))}
    there = dict(commands())
    assert synopses.keys() == there.keys()
    for name, command in there.items():
        for parameter in command.params:
            for option in parameter.opts:
                shown = option if option.startswith("-") else option.upper()
                assert shown in synopses[name], f"{name} {option}"


def test_no_command_is_both_there_and_not_in_this_release() -> None:
    absent = set(re.findall("`(sluice [a-z-]+)`", section("Not in this release")))
    assert not absent & {name for name, _ in commands()}


# Metrics and words


def test_every_metric_of_the_contract_is_documented_with_its_labels_and_type() -> None:
    documented = {code(name): kind for name, kind, _ in tables(section("Metrics"))}
    assert documented == {
        name: kind for name, kind, _ in declared(ContractMetrics(CollectorRegistry()))
    }


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("why", Dropped),
        ("status", ["succeeded", "failed", "cancelled", "duplicate"]),
        ("format", [*Format, UNKNOWN_FORMAT]),
        ("size", SIZES),
    ],
)
def test_the_words_of_labels_are_documented(label: str, words: Any) -> None:
    assert re.findall("`([a-z]+)`", LABELS[label]) == list(words)


def test_every_reason_is_documented() -> None:
    failures = [code(row[0]) for row in tables(section("Reasons"))]
    letters = [code(row[0]) for row in tables(section("Dead letters"))]
    assert failures == list(FailReason), "docs/contract.md, Reasons"
    reasons = [word for word in letters if not word.startswith("sluice_")]
    assert reasons == list(DeadLetterReason), "docs/contract.md, Dead letters"


def test_the_reasons_that_are_retried_are_documented() -> None:
    """A new reason is either the input's fault, or may pass: that is to be decided."""
    listed = re.search(r"`--reason` is ([^;]+?)[;.]", " ".join(CONTRACT.split()))
    assert listed
    found = set(re.findall(r"`(\w+)`", listed[1]))
    assert found == {*RETRIED}, "producer/retry/attempts.py, WRONG_INPUT; docs/contract.md, retry"


def test_every_field_and_header_of_an_event_is_documented() -> None:
    rows = list(tables(section("Completions")))
    fields = {name for row in rows if len(row) == 3 for name in re.findall(r"`(\w+)`", row[0])}
    events: list[type[BaseModel]] = [ExportCompleted, ExportFailed, ExportCancelled]
    assert fields == {name for event in events for name in event.model_fields}, "docs/contract.md"
    headers = [code(row[0]) for row in rows if len(row) == 2]
    event, *_ = re.findall(r"```json\n(.*?)```", section("Completions"), re.DOTALL)
    made = [name for name, _ in cloud_event_headers(decode_event(event.encode()))]
    assert headers == made, "docs/contract.md, Completions: the table of headers"


def test_every_option_is_documented_with_its_default() -> None:
    text = section("Formats")
    summary = {code(row[0]): row[3] for row in tables(text) if len(row) == 4}
    assert summary.keys() == {*Format}
    for file_format, model in OPTIONS.items():
        assert {*re.findall("`([a-z_]+)`", summary[file_format])} == model.model_fields.keys()
        heading = rf"\| option of [^|]*`{file_format}`[^|]*\|"
        (table,) = re.findall(rf"{heading}(.*?)\n\n", text, re.DOTALL)
        documented = {code(name): default for name, default, _ in tables(table)}
        assert documented.keys() == model.model_fields.keys()
        for name, field in model.model_fields.items():
            shown = exact_json.dumps(field.default).decode().strip('"') or "empty string"
            assert documented[name].strip("`") == shown, name


def test_every_column_type_is_documented() -> None:
    rows = [row for row in tables(section("Requests")) if len(row) == 2]
    assert [code(name) for name, _ in rows] == list(ColumnType)


def openapi_fields(name: str) -> set[str]:
    return set(OPENAPI["components"]["schemas"][name]["properties"])


def test_the_status_of_a_node_is_documented() -> None:
    for name in (*openapi_fields("NodeStatus"), *openapi_fields("ExportStatus")):
        assert f"`{name}`" in section("HTTP")


def test_every_endpoint_is_documented() -> None:
    documented = {
        f"{method} {path}"
        for cell, _ in tables(section("HTTP"))
        for methods, path in re.findall(r"((?:[A-Z]+`?,? ?`?)+)(/[\w/{}.-]+)", cell)
        for method in re.findall("[A-Z]+", methods)
    }
    described = {
        f"{method.upper()} {path.replace('export_id', 'id')}"
        for path, operations in OPENAPI["paths"].items()
        for method in operations
    }
    assert documented == described | {"GET /openapi.json", "GET /docs"}


# Examples


def example_kind(example: dict[str, Any]) -> str:
    untyped = "batch" if "seq" in example else "node" if "lag" in example else "status"
    kind = str(example.get("type", untyped))
    return kind.removeprefix("export.")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_in_json_are_valid(path: Path) -> None:
    for block in blocks(path, "json"):
        example = exact_json.loads(block.encode())
        match example_kind(example):
            case "requested" | "cancel_requested":
                decode_request(block.encode())
            case "batch":
                decode_batch(block.encode())
            case "node":
                assert example.keys() == openapi_fields("NodeStatus")
            case "status":
                assert example.keys() == openapi_fields("ExportStatus")
            case _:
                decode_event(block.encode())


def test_the_contract_has_an_example_of_every_event() -> None:
    examples = blocks(ROOT / "docs" / "contract.md", "json")
    assert {example_kind(exact_json.loads(block.encode())) for block in examples} == {
        *("requested", "cancel_requested", "batch"),
        *("completed", "failed", "cancelled", "status", "node"),
    }


@pytest.mark.parametrize("example", blocks(README, "python"))
def test_the_examples_in_python_compile_and_import_what_there_is(example: str) -> None:
    tree = ast.parse(example)
    compile(tree, README.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = importlib.import_module(node.module or "")
        assert all(hasattr(module, alias.name) for alias in node.names)


# Links and sizes


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))
    for link in links:
        if link.startswith("https://"):
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_the_documents_are_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150
    architecture = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert len(architecture.replace(drawn(architecture), "").splitlines()) <= 420


@pytest.mark.parametrize(
    ("title", "modules"),
    [
        ("Taking a partition over", ["lanes/takeover.py", "lanes/lane.py", "lanes/work.py"]),
        ("An end's way out", ["exports/publication.py", "exports/ending.py"]),
        (
            "Upload and decision",
            ["storage/objects/part.py", "storage/objects/storage.py"],
        ),
        ("A commit", ["lanes/commits.py", "lanes/transactions.py"]),
        ("Draining", ["group/member.py"]),
    ],
)
def test_steps_of_a_path_are_numbered_comments_in_the_code(title: str, modules: list[str]) -> None:
    (_, _, below) = (
        (ROOT / "docs" / "architecture.md").read_text("utf-8").partition(f"## {title}\n")
    )
    steps = re.findall(r"^(\d)\. ", below.partition("\n## ")[0], re.MULTILINE)
    source = "".join((ROOT / "consumer" / name).read_text("utf-8") for name in modules)
    assert steps
    assert sorted(re.findall(r"^ +# (\d)\. ", source, re.MULTILINE)) == steps


def mapped_files() -> Iterator[str]:
    """The paths that the file map in ``docs/architecture.md`` names, by its indents."""
    (_, _, below) = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## File map")
    folders: list[str] = []
    for line in below.split("```")[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if folder := re.match(r"\s*(\w+)/(?:\s|$)", line):
            folders[depth:] = [folder[1]]
        elif files := re.match(r"\s*((?:[\w/]+\.py(?:, )?)+)", line):
            for name in files[1].split(", "):
                yield "/".join([*folders[:depth], name])


def test_the_file_map_has_every_module() -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(mapped_files()) == sorted(modules)
