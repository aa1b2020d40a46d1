"""The dashboard's file is that of its code, and shows what there is."""

import json
import re
from typing import Any

from prometheus_client import CollectorRegistry

from compose.grafana.dashboard import FILE, text
from compose.grafana.graphs import ROWS
from consumer.metrics.catalogue import ContractMetrics, NodeMetrics
from consumer.metrics.document import declared
from tests.support.prometheus import RULES

GRAPHS = [graph for graphs in ROWS.values() for graph in graphs]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["panels"]
    return found


def test_the_file_is_made_of_the_code() -> None:
    assert FILE.read_text("utf-8") == text(), "make dashboard"


def test_panels_have_ids_places_and_queries_of_their_own() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found}) == len(found)
    for panel in found:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)
        assert letters or panel["type"] == "row"


def test_every_metric_is_on_the_dashboard_or_says_why_not() -> None:
    shown = " ".join(query for graph in GRAPHS for query, _ in graph.queries)
    rules = RULES.read_text("utf-8")
    registry = CollectorRegistry()
    names = {
        name.partition("{")[0]
        for catalogue in (ContractMetrics(registry), NodeMetrics(registry))
        for name, _, _ in declared(catalogue)
    }
    absent = {name for name in names if name not in shown}
    # Behind a recorded level; or of use to who looks for a cause only.
    assert absent == {
        "export_requests_total",
        "sluice_batches_applied_total",
        "sluice_batches_dropped_total",
        "sluice_cancels_ignored_total",
        "sluice_consumer_position_offset",
        "sluice_event_loop_longest_stall_seconds",
        "sluice_expired_bytes_total",
        "sluice_expired_files_total",
        "sluice_expired_manifests_total",
        "sluice_messages_set_aside_total",
        "sluice_parts_swept_total",
        "sluice_replaced_characters_total",
        "sluice_start_time_seconds",
        "sluice_suspect_messages_total",
        "sluice_truncated_cells_total",
    }
    recorded = set(re.findall(r"- record: (\S+)", rules))
    used = set(re.findall(r"\b(?:job:)?(?:export|sluice)_\w+(?::\w+)?", shown))
    assert {re.sub("_(bucket|count)$", "", name) for name in used} <= names | recorded


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for graph in GRAPHS:
        for query, legend in graph.queries:
            kept = set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", query))))
            assert set(re.findall(r"{{(\w+)}}", legend)) <= kept, query
            assert '{job="$job"}' in query


def test_the_alerts_that_graphs_name_are_there() -> None:
    there = set(re.findall(r"- alert: (\w+)", RULES.read_text("utf-8")))
    named = {word for graph in GRAPHS for word in re.findall(r"\bExport[A-Z]\w+", graph.says)}
    assert there == named
