"""The Grafana dashboard as code: ``python -m compose.grafana.dashboard`` writes export.json.

What is shown stands in ``graphs.py``, how it looks here. Invariant: the same graphs give the same
file.
"""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from compose.grafana.graphs import ROWS, Graph

FILE = Path(__file__).with_name("export.json")

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH, _HEIGHT = 8, 8  # of a grid of 24 columns, in rows of 30 pixels
_COLORS = ("green", "orange", "red")


def text() -> str:
    """What export.json holds."""
    board = (
        dashboard.Dashboard("Sluice")
        .uid("sluice")
        .description("Exports of one consumer group: service levels, partitions, nodes.")
        .tags(["sluice"])
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job")
            .description("A consumer group, as Prometheus names its nodes together.")
            .datasource(_SOURCE)
            .query("label_values(export_concurrent_running, job)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    )
    for title, graphs in ROWS.items():
        board = board.with_row(dashboard.Row(title))
        for graph in graphs:
            board = board.with_panel(_panel(graph))
    built = board.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return JSONEncoder(indent=2, sort_keys=True).encode(built) + "\n"


def _panel(graph: Graph) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .description(graph.says)
        .datasource(_SOURCE)
        .span(_WIDTH)
        .height(_HEIGHT)
        .unit(graph.unit)
        .min(0)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
    )
    for letter, (expression, legend) in zip(ascii_uppercase, graph.queries, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
        panel = panel.with_target(query.range().datasource(_SOURCE))
    if not graph.limits:
        return panel
    style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(_thresholds(graph)).thresholds_style(style)


def _thresholds(graph: Graph) -> dashboard.ThresholdsConfig:
    steps = list(_steps(graph))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _steps(graph: Graph) -> Iterator[Threshold]:
    """Colours from below; where little is bad, the limits are those of falling below."""
    colors = _COLORS[: len(graph.limits) + 1]
    if graph.low_is_bad:
        colors = colors[::-1]
    for bound, color in zip((None, *sorted(graph.limits)), colors, strict=True):
        yield Threshold(value=bound, color=color)


def main() -> None:
    """Write export.json."""
    FILE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
