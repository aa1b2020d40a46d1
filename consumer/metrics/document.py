"""The page of metrics, made of the catalogue; in a checkout this module writes it.

Invariant: of metrics and labels the page says nothing that the catalogue doesn't.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from consumer.metrics.catalogue import LABELS, ContractMetrics, NodeMetrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_PAGE = """\
# Metrics

What a node's `/metrics` shows. `make metrics-docs` writes this page from the
[catalogue](../consumer/metrics/catalogue.py).

A histogram has `_bucket`, `_sum` and `_count` series. All series that can be there from the start
are, at 0; those of a partition are there while it is assigned to the node. Ends and dead letters
are counted when their transaction is committed.

## The nine of the [contract](contract.md#metrics)

{contract}

## The node's own

{node}

## Labels

{labels}
"""


def declared(catalogue: ContractMetrics | NodeMetrics) -> Iterator[tuple[str, str, str]]:
    """Each metric of a catalogue: its name with labels in braces, its type, what it means."""
    for metric in vars(catalogue).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            total = "_total" if family.type == "counter" else ""
            labels = ",".join(metric._labelnames)  # noqa: SLF001 - there is no public way to ask
            name = f"{family.name}{total}" + (f"{{{labels}}}" if labels else "")
            yield name, family.type, family.documentation


def page() -> str:
    """What docs/metrics.md holds."""
    registry = CollectorRegistry()
    return _PAGE.format(
        contract=_metrics(ContractMetrics(registry)),
        node=_metrics(NodeMetrics(registry)),
        labels=_table(("label", "says"), ((f"`{name}`", LABELS[name]) for name in LABELS)),
    )


def _metrics(catalogue: ContractMetrics | NodeMetrics) -> str:
    rows = ((f"`{name}`", kind, meaning) for name, kind, meaning in declared(catalogue))
    return _table(("metric", "type", "meaning"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (heads, ("---",) * len(heads), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
