"""Words that don't return, and log events: each is documented with its level and fields."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed
from tests.unit.test_docs import PACKAGES, ROOT, tables

LOG_EVENTS = ROOT / "docs" / "log-events.md"
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted(
    path
    for folder in ("acceptance", "bench", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)
# The ADRs are a record, kept as written.
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Words

NOT_OURS = (
    *("said", "told", "asked", "anew", "whoever", "perhaps", "somebody", "mend", "mended", "bury"),
    *("surroundings", "workshop", "patience", "seated", "unseat", "unseated", "recount"),
)
"""Each has a plainer one: published, returned, logged; known; again; the one who; may."""
_WORD = re.compile(rf"(?i)(?<![a-z])(?:{'|'.join(NOT_OURS)})(?![a-z])")
_SPOKEN = 'He said "tomorrow", then hung up'  # a cell of generated rows, whose bytes stay


def _words_in(text: str) -> list[str]:
    return _WORD.findall(text.replace(_SPOKEN, ""))


@pytest.mark.parametrize("text", ["_told_at", "``said``", "Whoever", "read anew.", "tell, told"])
def test_a_word_is_found_in_identifiers_too(text: str) -> None:
    assert _words_in(text)


@pytest.mark.parametrize("text", ["unsaid", "toldings", "canewas", "may be"])
def test_parts_of_words_are_not(text: str) -> None:
    assert not _words_in(text)


def test_plain_words() -> None:
    paths = [*MODULES, *TESTS, *DOCUMENTS]
    found = {str(path.relative_to(ROOT)): _words_in(path.read_text("utf-8")) for path in paths}
    assert {path: words for path, words in found.items() if words} == {}


# Log events

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}
METHODS = LEVELS | {"exception": "error"}
# Of ``_log_end`` in consumer/exports/partition.py: the type of the event is the log event.
ENDS = {
    str(model.model_fields["type"].default)
    for model in (ExportCompleted, ExportFailed, ExportCancelled)
}


@dataclass
class Logged:
    """How an event is logged, over all of its calls.

    ``other_levels``, ``other_fields``: a call chooses some as it runs, so there are more.
    """

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    other_levels: bool = False
    other_fields: bool = False


def _method(call: ast.Call) -> str | None:
    """``warning`` of ``log.warning(…)``; ``say`` and ``_warn`` are variables in its place."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="log"), attr=name) if name in METHODS:
            return name
        case ast.Name(id="say") | ast.Attribute(attr="_warn"):
            return "say"
    return None


def _events(first: ast.expr) -> set[str]:
    """The texts that an event may be; none, where it is passed on as a variable."""
    match first:
        case ast.Attribute(value=ast.Name(id="event"), attr="type"):
            return ENDS
        case ast.IfExp(body=body, orelse=other):
            return _events(body) | _events(other)
        case ast.Constant(value=str(text)):
            return {text}
    return set()


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (method := _method(node)):
                yield method, node


@pytest.fixture(scope="module")
def logged() -> dict[str, Logged]:
    found: defaultdict[str, Logged] = defaultdict(Logged)
    for method, call in _calls():
        for event in _events(call.args[0]):
            if method in METHODS:
                found[event].levels.add(METHODS[method])
            else:
                found[event].other_levels = True
            is_open = method not in METHODS or any(it.arg is None for it in call.keywords)
            found[event].other_fields |= is_open
            keywords = {keyword.arg for keyword in call.keywords if keyword.arg}
            found[event].fields |= keywords - {"exc_info"}
    return dict(found)


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str, str]]:
    rows = [(event.strip("`"), *rest) for event, *rest in tables(LOG_EVENTS.read_text("utf-8"))]
    assert len({event for event, *_ in rows}) == len(rows), "an event has two rows"
    return {event: (level, fields, meaning) for event, level, fields, meaning in rows}


def test_every_log_event_is_documented(
    logged: dict[str, Logged], documented: dict[str, tuple[str, str, str]]
) -> None:
    assert documented.keys() == logged.keys()
    for event, (level, fields, meaning) in documented.items():
        assert meaning, event
        found = logged[event]
        levels = set(LEVELS) & set(re.findall(r"\w+", level))
        assert_stated(event, found.levels, levels, more=found.other_levels)
        named = set(re.findall("`(.+?)`", fields))
        assert_stated(event, found.fields, named, more=found.other_fields)


def assert_stated(event: str, logged: set[str], stated: set[str], *, more: bool) -> None:
    assert stated >= logged if more else stated == logged, (event, stated ^ logged)


def test_only_one_call_passes_its_event_on() -> None:
    """``LoopWatch._warn``, whose own calls are found. Any further one would go undocumented."""
    passing = [ast.unparse(call) for _, call in _calls() if not _events(call.args[0])]
    assert len(passing) == 1, passing
    assert passing[0].startswith("log.warning(event, ")
