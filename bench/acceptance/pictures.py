"""Samples as pictures, PNG. What is drawn comes from elsewhere.

Invariant: an axis of what should stay level begins at 0, so that a rise is as large as it looks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.acceptance.sampling import Sample, per_second
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
            axis.set_ylim(bottom=0)
            axis.margins(x=0.01)
