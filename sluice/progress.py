"""A bar per export on a terminal, plain lines elsewhere.

Invariant: what is shown goes to stderr; a command's answer on stdout is the same in both cases.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from schemas.completions import TerminalEvent


class ExportBars:
    """Shows how many rows of each export are in its file."""

    def __init__(self, console: Console, bars: Progress | None) -> None:
        self._console = console
        self._bars = bars
        self._shown: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}

    @property
    def running(self) -> list[str]:
        """Ids of exports that were requested and have not ended."""
        return list(self._totals)

    def requested(self, export_id: str, rows: int) -> None:
        """An export was requested, of so many rows in all."""
        if export_id in self._totals:
            return
        self._totals[export_id] = rows
        if self._bars is None:
            self._say(f"{export_id}: requested, {rows} rows")
        else:
            self._shown[export_id] = self._bars.add_task(export_id, total=rows, state="")

    def written(self, export_id: str, rows: int) -> None:
        """So many rows of it are in the file."""
        if self._bars is not None:
            self._bars.update(self._shown[export_id], completed=rows)

    def ended(self, event: TerminalEvent) -> None:
        """It has ended."""
        state = event.type.removeprefix("export.")
        seconds = event.duration_ms / 1000
        del self._totals[event.export_id]
        if self._bars is None:
            self._say(f"{event.export_id}: {event.rows} rows in {seconds:.2f} s")
        else:
            done = f"{state} in {seconds:.2f} s"
            self._bars.update(self._shown[event.export_id], completed=event.rows, state=done)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def export_bars() -> Iterator[ExportBars]:
    """The bars, for the block; they stay on the terminal as they were at its end."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():  # rich would say yes under FORCE_COLOR
        yield ExportBars(console, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as bars:
        yield ExportBars(console, bars)
