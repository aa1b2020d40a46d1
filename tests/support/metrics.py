"""Metrics, read back from the text of a scrape."""

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from consumer.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample, read back from the text of a scrape."""
    for family in parse_text(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def series(metrics: Metrics, name: str) -> list[dict[str, str]]:
    families = parse_text(generate_latest(metrics.registry).decode())
    return [one.labels for family in families for one in family.samples if one.name == name]
