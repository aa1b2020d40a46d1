"""The runbook answers every alert; commands, options, metrics and labels in it are there."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumer.metrics.catalogue import LABELS, ContractMetrics, NodeMetrics
from consumer.metrics.document import declared
from schemas.vocabulary import FailReason
from tests.support.prometheus import RULES
from tests.unit.test_docs import anchors, code, commands, tables

ROOT = RULES.parents[1]
RUNBOOK = ROOT / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text("utf-8")
ALERTS = sorted(set(re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))))
PROCEDURES = {
    "Deploy",
    "Scale out",
    "Roll back",
    "Rolling restart without moving partitions",
    "Change of partition count",
    "Lost storage",
    "Failed exports again",
    "Replay of a day",
    "Dead letters back in",
    "Tokens",
}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(?:old|new)?\$ ")
# Where a shell takes a word for a command: at its beginning, after an operator, after a variable.
COMMAND = re.compile(r"(?:^|[|;&(])\s*(?:[A-Z_]+=\S+ )*(?:timeout \d+ )?sluice ([^|;&>)#]*)")
PROMQL_WORDS = {"and", "or", "unless", "on", "ignoring", "by", "without", "up"}
SCRAPED_LABELS = {"job", "instance", "le"}


def section(title: str) -> str:
    """What stands below a heading of the second level."""
    below = TEXT.partition(f"\n## {title}\n")[2]
    assert below, title
    return below.partition("\n## ")[0]


def answers(text: str) -> dict[str, str]:
    """Each heading of the third level with what stands below; those in a row share it."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for piece in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, _, body = piece.partition("\n")
        waiting.append(title)
        if body.strip():
            found |= dict.fromkeys(waiting, body)
            waiting = []
    assert not waiting
    return found


def blocks(*languages: str) -> list[str]:
    return [body for _, language, body in BLOCK.findall(TEXT) if language in languages]


def typed() -> Iterator[str]:
    """What a person types: lines of ``sh``, lines after a prompt, and commands in the text."""
    for block in blocks("sh"):
        yield from block.splitlines()
    for block in blocks(""):
        for line in block.replace("\\\n", " ").splitlines():
            if prompt := PROMPT.match(line):
                yield line[prompt.end() :]
    yield from re.findall(r"`(sluice [^`]+)`", BLOCK.sub("", TEXT))


def typed_commands() -> list[str]:
    return [words for line in typed() for words in COMMAND.findall(line)]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_three_parts(alert: str) -> None:
    answer = answers(section("Alerts"))[alert]
    parts = re.findall(r"^- \*\*(\w+):\*\* \S", answer, re.MULTILINE)
    assert parts == ["Means", "Look", "Do"]
    means, _, rest = answer.partition("- **Look:**")
    assert len(re.findall(r"[.?!](?:\s|$)", means)) <= 2, "in two sentences"
    look = rest.partition("- **Do:**")[0]
    assert BLOCK.search(look), "something to paste"


def test_every_reason_of_a_failure_is_answered() -> None:
    firsts = [row[0] for row in tables(answers(section("Alerts"))["ExportFailSpike"])]
    answered = sorted(re.findall(r"`(\w+)`", " ".join(firsts)))
    assert answered == sorted(FailReason), "docs/runbook.md, ExportFailSpike"


def test_what_ready_says_is_what_the_code_says() -> None:
    sources = " ".join(path.read_text("utf-8") for path in (ROOT / "consumer").rglob("*.py"))
    reasons = [code(row[0]) for row in tables(answers(section("Alerts"))["ExportPartitionStuck"])]
    assert len([words for words in reasons if words]) >= 8
    for words in reasons:
        assert re.search(re.escape(words).replace("…", r"\{\w+\}"), sources), words


def test_no_alert_is_answered_that_there_is_not() -> None:
    assert sorted(answers(section("Alerts"))) == ALERTS


def test_the_alerts_link_to_their_headings() -> None:
    links = set(re.findall(r"runbook_url: (\S+)", RULES.read_text("utf-8")))
    assert links == {f"docs/runbook.md#{alert.lower()}" for alert in ALERTS}
    for link in links:
        path, _, fragment = link.partition("#")
        assert fragment in anchors(ROOT / path)


def test_every_procedure_shows_what_was_typed_and_what_came() -> None:
    found = answers(section("Procedures"))
    assert found.keys() == PROCEDURES
    for title, body in found.items():
        transcript = [
            line
            for _, language, text in BLOCK.findall(body)
            if not language
            for line in text.splitlines()
        ]
        prompts = [bool(PROMPT.match(line)) for line in transcript]
        assert any(prompts), f"{title}: nothing typed"
        assert not all(prompts), f"{title}: nothing came"
        assert any("sluice " in line for line in transcript), title


def test_transcripts_name_nothing_of_the_machine_they_were_made_on() -> None:
    assert not re.search(r"(?<![\w.])/(?:tmp|root|home|work|Users)\b", TEXT)


def parsed(words: str) -> tuple[Any, str, list[str]]:
    """A command of the line, its name, and what is given to it."""
    there = dict(commands())
    tokens = words.split()
    for length in (2, 1):
        name = " ".join(["sluice", *tokens[:length]])
        if name in there:
            return there[name], name, tokens[length:]
    raise AssertionError(f"no such command: sluice {words}")


def test_commands_and_their_options_exist() -> None:
    found = typed_commands()
    assert len(found) > 30
    for words in found:
        command, name, given = parsed(words)
        options = {option for parameter in command.params for option in parameter.opts}
        used = {word.partition("=")[0] for word in given if word.startswith("-")}
        assert used <= options, f"{name}: {used - options}"


def queries() -> list[str]:
    return [line.strip() for block in blocks("promql") for line in block.splitlines()]


def metric_names() -> dict[str, str]:
    """Every series by its name, with the type of its metric."""
    registry = CollectorRegistry()
    names: dict[str, str] = {}
    for catalogue in (ContractMetrics(registry), NodeMetrics(registry)):
        for full, kind, _ in declared(catalogue):
            name = full.partition("{")[0]
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            names |= {f"{name}{suffix}": kind for suffix in suffixes}
    return names


def test_queries_name_metrics_that_there_are() -> None:
    recorded = set(re.findall(r"- record: (\S+)", RULES.read_text("utf-8")))
    known = metric_names().keys() | recorded | PROMQL_WORDS
    assert len(queries()) > 15
    for query in queries():
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on) \([^)]*\)", " ", query)
        named = set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare))
        assert named, query
        assert named <= known, f"{query}: {named - known}"


def test_queries_name_labels_that_there_are() -> None:
    for query in queries():
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
        matched = re.findall(r"(\w+)=", " ".join(re.findall(r"\{([^}]*)\}", query)))
        named = {name.strip() for group in grouped for name in group.split(",")} | {*matched}
        assert named <= LABELS.keys() | SCRAPED_LABELS, query


def test_paths_in_the_text_exist() -> None:
    for path in re.findall(r"`(compose/[\w./-]+)`", TEXT):
        assert (ROOT / path).is_file(), path


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 465
