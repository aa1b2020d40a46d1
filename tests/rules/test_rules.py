"""The alerting rules, by promtool: they are valid, fire at their edges, and the cases see edges.

A mutant is the rules with one threshold or duration changed; the cases must fail on each.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import RULES, promtool

CASES = RULES.with_name("export.test.yml")
TEXT = RULES.read_text("utf-8")
ALERTS = {
    "ExportLatencyP95High": ["warning", "critical"],
    "ExportFailSpike": ["warning", "critical"],
    "ExportSuccessRateLow": ["warning", "critical"],
    "ExportThroughputLow": ["warning"],
    "ExportBytesAnomaly": ["warning"],
    "ExportConcurrentHigh": ["critical"],
    "ExportSaturated": ["warning"],
    "ExportNodeAbsent": ["warning", "critical"],
    "ExportNodeGone": ["warning"],
    "ExportNodeNotReady": ["critical"],
    "ExportLagGrowing": ["warning"],
    "ExportPartitionStuck": ["critical"],
    "ExportDeadLetters": ["warning"],
    "ExportStorageFailing": ["warning", "critical"],
    "ExportExpiryFailing": ["warning"],
}
CHANGES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    # A lag that rises is not at its threshold for long.
    (r" > (?=\d)(?!1000$)", " >= "),
    (r" < (?=\d)", " <= "),
    (r"== 1$", "== 0"),
    (r"== 0$", "== 1"),
    (r"0\.9 \*", "0.8 *"),
    (r"0\.9 \*", "1.1 *"),
    (r"(?<=for: )(\d+)m", lambda it: f"{int(it[1]) - 1}m"),
    (r"(?<=for: )(\d+)m", lambda it: f"{int(it[1]) + 1}m"),
]


class _Texts(yaml.SafeLoader):
    """Keeps every scalar as it is written: `0x60` is a series' notation here, and no number."""


_Texts.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0].endswith(":merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def mutants() -> Iterator[object]:
    """The alert, empty for several, and the rules with one change in it."""
    for pattern, change in CHANGES:
        kept = 0
        for at in re.finditer(pattern, TEXT, re.MULTILINE):
            changed = at.expand(change) if isinstance(change, str) else change(at)
            line = TEXT.count("\n", 0, at.start()) + 1
            # Before the first alert stand what several of them use.
            *_, alert = ["", *re.findall(r"- alert: (\w+)", TEXT[: at.start()])]
            text = TEXT[: at.start()] + changed + TEXT[at.end() :]
            yield pytest.param(
                *(alert, text),
                id=f"line {line}: {at[0].strip()} -> {changed.strip()}",
                marks=[pytest.mark.long] * (not alert or kept > 0),
            )
            kept += bool(alert)


def cases_of(alert: str) -> str:
    """Those that look at it. All of them take promtool seconds of CPU time."""
    cases = yaml.load(CASES.read_text("utf-8"), _Texts)  # noqa: S506 - a safe loader's
    cases["tests"] = [
        case
        for case in cases["tests"]
        if not alert or alert in {checked["alertname"] for checked in case["alert_rule_test"]}
    ]
    assert cases["tests"]
    return str(yaml.safe_dump(cases))


@pytest.mark.slow
def test_the_rules_and_their_cases_are_valid_and_hold() -> None:
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stderr
    tested = promtool("test", "rules", CASES)
    assert tested.returncode == 0, tested.stderr


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_s_cases_hold_by_themselves(alert: str, tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    (tmp_path / CASES.name).write_text(cases_of(alert), "utf-8")
    tested = promtool("test", "rules", tmp_path / CASES.name)
    assert tested.returncode == 0, tested.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("alert", "text"), list(mutants()))
def test_the_cases_notice_another_threshold_or_duration(
    alert: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / RULES.name).write_text(text, "utf-8")
    (tmp_path / CASES.name).write_text(cases_of(alert), "utf-8")
    tested = promtool("test", "rules", tmp_path / CASES.name)
    assert tested.returncode == 1
    assert "FAILED" in tested.stderr


def test_every_alert_is_there_with_its_severities_and_says_what_to_do() -> None:
    found: dict[str, list[str]] = {}
    for block in TEXT.split("- alert: ")[1:]:
        name = block.split("\n", 1)[0]
        severity = re.search(r"severity: (\w+)", block)
        assert severity, name
        found.setdefault(name, []).append(severity[1])
        shared = re.search(r"annotations: \*\w+", block)
        link = f"runbook_url: docs/runbook.md#{name.lower()}\n"
        assert shared or all(word in block for word in ("summary: ", "description: ", link)), name
    assert found == ALERTS


def test_the_configuration_of_prometheus_is_valid_where_it_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    shutil.copy(RULES, tmp_path / "rules")
    shutil.copy(RULES.parents[1] / "compose" / "prometheus" / "prometheus.yml", tmp_path)
    checked = promtool("check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert "1 rule files found" in checked.stdout
