"""Samples as pictures, PNG. What is drawn comes from elsewhere.

Invariant: an axis of what should stay level begins at 0, so that a rise is as large as it looks.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acceptance.assertions import durations_seconds, p95
from acceptance.phases import Phase, PhaseEnding
from acceptance.sampling import Sample, per_second
from bench.figures import MIB

OURS, LIMIT, QUIET = "#1f6f8b", "#c8553d", "#b8b8b8"


@contextmanager
def figure(path: Path, rows: int, height_inches: float) -> Iterator[Sequence[Any]]:
    """A picture of so many plots below each other, saved at the block's end; its axes."""
    import matplotlib as mpl  # noqa: PLC0415 - only the bench's own environment has it

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice above

    picture, axes = plt.subplots(
        rows, 1, figsize=(9, height_inches), layout="constrained", sharex=rows > 1, squeeze=False
    )
    for axis in axes[:, 0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", linewidth=0.4, color="#dddddd")
        axis.set_axisbelow(True)
    yield list(axes[:, 0])
    picture.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(picture)


def draw_soak(samples: Sequence[Sample], path: Path) -> None:
    """Memory, descriptors and threads, lag, and completed exports a second, over minutes."""
    minutes = [sample.at_seconds / 60 for sample in samples]
    with figure(path, rows=4, height_inches=7.5) as axes:
        memory, handles, lag, rate = axes
        memory.plot(minutes, [s.resident_bytes / MIB for s in samples], color=OURS, linewidth=1)
        memory.set_title("Resident memory of the node, MiB", fontsize=9, loc="left")
        handles.plot(minutes, [s.descriptors for s in samples], color=OURS, linewidth=1)
        handles.plot(minutes, [s.threads for s in samples], color=QUIET, linewidth=1)
        handles.set_title("File descriptors (grey: threads)", fontsize=9, loc="left")
        lag.plot(minutes, [s.lag_records for s in samples], color=OURS, linewidth=0.8)
        lag.set_title("Lag, records", fontsize=9, loc="left")
        middles, rates = zip(*per_second(samples, 10), strict=True)
        rate.plot([at / 60 for at in middles], rates, color=OURS, linewidth=1)
        rate.set_title("Completed exports a second, over 10 s", fontsize=9, loc="left")
        rate.set_xlabel("minutes", fontsize=8)
        for axis in axes:
            axis.set_ylim(0, axis.dataLim.ymax * 1.15)  # a level line is seen below the edge
            axis.margins(x=0.01)


def draw_latency(phases: Sequence[Phase], endings: Sequence[PhaseEnding], path: Path) -> None:
    """A dot for each completed export, by phase, and the P95 of each; the limits as lines."""
    with figure(path, rows=1, height_inches=3.6) as (axis,):
        for place, phase in enumerate(phases):
            seconds = durations_seconds(endings, phase.name)
            spread = [place + (n - len(seconds) / 2) / 60 for n in range(len(seconds))]
            axis.scatter(spread, seconds, s=14, color=OURS)
            if seconds:
                ends = (place - 0.25, place + 0.25)
                axis.hlines(p95(seconds), *ends, color=OURS, linewidth=1)
                axis.annotate(
                    f"P95 {p95(seconds):.2f} s",
                    (place + 0.27, p95(seconds)),
                    fontsize=7,
                    va="center",
                )
        for limit in (10, 30):
            axis.axhline(limit, color=LIMIT, linewidth=1, linestyle="--")
            axis.text(-0.45, limit * 1.08, f"{limit} s", color=LIMIT, fontsize=8)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_ylim(0.01, 60)
        axis.set_xlim(-0.5, len(phases) - 0.3)
        axis.set_xticks(range(len(phases)), [phase.name for phase in phases])
        axis.set_title("Request to completion, seconds, each export", fontsize=9, loc="left")


def draw_throughput(
    phases: Sequence[Phase],
    endings: Sequence[PhaseEnding],
    samples: Sequence[Sample],
    path: Path,
) -> None:
    """Completed exports and rows of each second, and slots in use; phases are shaded."""
    completed = [one for one in endings if one.completed]
    exports = Counter(int(one.at_seconds) for one in completed)
    rows: Counter[int] = Counter()
    for one in completed:
        rows[int(one.at_seconds)] += one.event.rows
    with figure(path, rows=3, height_inches=6) as (rate, speed, slots):
        _bars(rate, exports, "Completed exports, each second (wanted: 0.05)")
        _bars(speed, rows, "Rows of these, each second")
        at = [sample.at_seconds for sample in samples]
        slots.step(at, [s.running for s in samples], where="post", color=OURS, linewidth=0.8)
        slots.axhline(5, color=LIMIT, linewidth=1, linestyle="--")
        slots.set_ylim(0, 6)
        slots.set_title("Slots in use (export_concurrent_running)", fontsize=9, loc="left")
        slots.set_xlabel("seconds", fontsize=8)
        for axis in (rate, speed, slots):
            _shade(axis, phases)
        for phase in phases:
            middle = phase.begun_seconds + phase.seconds / 2
            slots.annotate(phase.name, (middle, 5.2), fontsize=7, ha="center")


def _bars(axis: Any, counts: Counter[int], title: str) -> None:  # noqa: ANN401 - it has no types
    axis.bar([second + 0.5 for second in counts], list(counts.values()), width=0.9, color=OURS)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set_title(title, fontsize=9, loc="left")


def _shade(axis: Any, phases: Sequence[Phase]) -> None:  # noqa: ANN401 - it has no types
    for phase in phases:
        end = phase.begun_seconds + phase.seconds
        axis.axvspan(phase.begun_seconds, end, color=QUIET, alpha=0.25, linewidth=0, zorder=0)
