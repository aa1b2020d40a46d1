"""A bar per export on a terminal, plain lines elsewhere.

Invariant: progress goes to stderr and doesn't affect a command's output on stdout. Bars are in the
order in which exports were planned, not that of their requests.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from schemas.completions import TerminalEvent

_BAR_WIDTH = 30  # beside a name, the rows and how it ended, within 80 columns


class ExportBars:
    """Shows how many rows of each export are in its file.

    Args:
        console: where lines go if there are no bars.
        bars: where the bars are shown, None without a terminal.
        planned: the rows of each export that will be requested, by a name for it.
    """

    def __init__(self, console: Console, bars: Progress | None, planned: Mapping[str, int]) -> None:
        self._console = console
        self._bars = bars
        self._planned = planned
        self._shown: dict[str, TaskID] = {}
        if bars is not None:
            self._shown = {
                name: bars.add_task(name, total=rows, state="") for name, rows in planned.items()
            }
        self._names: dict[str, str] = {}

    @property
    def running(self) -> list[str]:
        """Ids of exports that were requested and have not ended."""
        return list(self._names)

    def requested(self, name: str, export_id: str) -> None:
        """Note that the export planned as ``name`` was requested under this id."""
        if export_id in self._names:
            return
        self._names[export_id] = name
        if self._bars is None:
            self._say(f"{export_id}: requested, {self._planned[name]} rows")

    def written(self, export_id: str, rows: int) -> None:
        """Show how many rows are in the file."""
        if self._bars is not None:
            self._bars.update(self._shown[self._names[export_id]], completed=rows)

    def ended(self, event: TerminalEvent) -> None:
        """Show that it has ended."""
        state = event.type.removeprefix("export.")
        seconds = event.duration_ms / 1000
        name = self._names.pop(event.export_id)
        if self._bars is None:
            self._say(f"{event.export_id}: {event.rows} rows in {seconds:.2f} s")
        else:
            done = f"{state} in {seconds:.2f} s"
            self._bars.update(self._shown[name], completed=event.rows, state=done)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def export_bars(planned: Mapping[str, int]) -> Iterator[ExportBars]:
    """The bars, for the block; afterwards they stay on the terminal."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():  # rich would say yes with FORCE_COLOR
        yield ExportBars(console, None, planned)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(_BAR_WIDTH),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as bars:
        yield ExportBars(console, bars, planned)
