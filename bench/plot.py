"""The speeds as a picture: rows a second of each contender, CSV beside PDF. For the README."""

from pathlib import Path
from typing import Any

from bench.figures import thousands

_OURS, _ORIGINAL, _OTHERS = "#1f6f8b", "#c8553d", "#b8b8b8"


def draw(encoders: dict[str, Any], path: Path) -> None:
    """Draw the generated orders' contests; the copy, which is no encoder, is left out."""
    import matplotlib as mpl  # noqa: PLC0415 - only the bench's own environment has it

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice above

    contests = [one for one in encoders["contests"] if one["data_set"] == "orders"]
    figure, axes = plt.subplots(1, len(contests), figsize=(11, 2.8), layout="constrained")
    for axis, contest in zip(axes, contests, strict=True):
        _bars(axis, contest)
    figure.suptitle("Rows a second on one core, JSON decoded, the file written", fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _bars(axis: Any, contest: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib has no types here
    shown = shown_bars(contest)
    names, speeds, colours = zip(*shown, strict=True)
    bars = axis.barh(names, speeds, color=colours)
    axis.bar_label(bars, [thousands(speed) for speed in speeds], padding=3, fontsize=8)
    axis.set_title(contest["format"].upper(), fontsize=10)
    axis.margins(x=0.12)
    axis.tick_params(labelsize=8)
    axis.xaxis.set_visible(False)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def shown_bars(contest: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Name, rows a second and colour of each bar, the quickest on top."""
    encoders = [one for one in contest["contenders"] if not one["name"].startswith("a plain copy")]
    ordered = sorted(encoders, key=lambda one: one["rows_per_second"]["median"])
    return [
        (one["name"], one["rows_per_second"]["median"], _colour(one["name"], one["to_original"]))
        for one in ordered
    ]


def _colour(name: str, to_original: float | None) -> str:
    if name == "Sluice":
        return _OURS
    return _ORIGINAL if to_original == 1 else _OTHERS
