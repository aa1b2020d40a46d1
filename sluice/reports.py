"""How commands show exports: terminal events as lines, and progress on a terminal.

Invariant: an event is one line, whatever its message holds; progress goes to stderr, and only
where that is a terminal. Nothing is shortened but for a terminal.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from producer.completions import CompletionFeed
from schemas.completions import ExportCompleted, ExportFailed, Source, TerminalEvent

_HEADER = ("STATE", "ROWS", "BYTES", "SECONDS", "SHA256", "LOCATION")
_NUMBERS = (1, 2, 3)
_SHORT_HASH = 8
_LEAST_LOCATION = 20
_CUT_END = 8  # such as ``3f9a.csv``

Advance: TypeAlias = Callable[[str, int, float | None], None]
"""Called with the export's name, its rows so far, and the fraction done (0 to 1) if known."""


async def report_endings(
    feed: CompletionFeed, sources: Mapping[str, Source | None], seconds: float | None = None
) -> int:
    """Print the terminal event of each request; returns 0 if all completed, else 1.

    Cancelled, it says which exports go on.

    Raises:
        ClientError: as ``CompletionFeed.endings``.
        TimeoutError: not all ended in time.
    """
    code, running = 0, dict.fromkeys(sources)
    try:
        async with asyncio.timeout(seconds):
            async for event in feed.endings(sources):
                del running[event.export_id]
                typer.echo(event_line(event))
                if not isinstance(event, ExportCompleted):
                    code = 1
    except asyncio.CancelledError:
        what = f"{' '.join(running)} may go on" if running else "all have ended"
        typer.echo(f"sluice: interrupted: {what} (`sluice cancel` ends an export)", err=True)
        raise
    return code


@contextmanager
def cancelled_if_interrupted(export_ids: Sequence[str]) -> Iterator[None]:
    """Wraps publishing: if a signal interrupts it, print which export was cancelled."""
    try:
        yield
    except asyncio.CancelledError:
        typer.echo(f"sluice: interrupted: cancelled {' '.join(export_ids)}", err=True)
        raise


def event_line(event: TerminalEvent) -> str:
    """``completed ID 10000 rows 1048576 bytes sha256 … file:///…``, or why there is no file."""
    match event:
        case ExportCompleted():
            pages = "" if event.pages is None else f"{event.pages} pages "
            size = f"{event.rows} rows {pages}{event.bytes} bytes"
            lost = f" ({losses})" if (losses := _losses(event)) else ""
            line = (
                f"completed {event.export_id} {size}{lost} sha256 {event.sha256} {event.location}"
            )
        case ExportFailed():
            why = f"{event.reason}: {event.message}"
            line = f"failed {event.export_id} after {event.rows} rows: {why}"
        case _:
            line = f"cancelled {event.export_id} after {event.rows} rows: {event.message}"
    return printable(line)


def _losses(event: ExportCompleted) -> str:
    """What the file doesn't show as sent, such as ``3 cells truncated``; empty if nothing."""
    counts = (
        (event.truncated_cells, "cell", "truncated"),
        (event.replaced_characters, "character", "replaced"),
    )
    return ", ".join(
        f"{count} {what}{'' if count == 1 else 's'} {how}" for count, what, how in counts if count
    )


def closing_table(events: Sequence[TerminalEvent], width: int | None = None) -> str:
    """A header and one line per event, in columns: state, rows, bytes, seconds, sha256, location.

    An export without a file has its reason in the last column; what a file doesn't show as it was
    sent stands there too. Where that is wider than ``width`` characters, hashes and locations are
    shortened to fit, and such notes are lines of their own; reasons stay whole.
    """
    rows = [_table_row(event) for event in events]
    whole = columns_of([_HEADER, *rows], right=_NUMBERS)
    if width is None or max(map(len, whole)) <= width:
        return "\n".join(whole)
    others = [(*row[:4], row[4][:_SHORT_HASH]) for row in rows]
    taken = len(columns_of([(*_HEADER[:5], "|"), *((*row, "|") for row in others)])[0]) - 1
    notes: list[str] = []
    for place, event in enumerate(events):
        last = rows[place][5]
        if isinstance(event, ExportCompleted):
            last = _cut(_from_here(event.location), max(_LEAST_LOCATION, width - taken))
            notes += [f"{last}: {lost}" for lost in [_losses(event)] if lost]
        rows[place] = (*others[place], last)
    return "\n".join([*columns_of([_HEADER, *rows], right=_NUMBERS), *notes])


def terminal_width() -> int | None:
    """The width of stdout in characters; None if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _from_here(location: str) -> str:
    """A local file's path from the working directory, where it is below it."""
    here = f"file://{Path.cwd().as_posix()}/"
    return location.removeprefix(here).removeprefix("file://")


def _cut(text: str, room: int) -> str:
    """Cut the middle out of a name that is too long: names differ at both ends."""
    if len(text) <= room:
        return text
    end = min(_CUT_END, room // 2)
    return f"{text[: room - end - 1]}…{text[-end:]}"


def columns_of(table: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """The rows as lines, in columns; those whose numbers are in ``right`` are aligned there."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _table_row(event: TerminalEvent) -> tuple[str, str, str, str, str, str]:
    state = event.type.removeprefix("export.")
    seconds = f"{event.duration_ms / 1000:.2f}"
    if isinstance(event, ExportCompleted):
        place = f"{event.location} ({lost})" if (lost := _losses(event)) else event.location
        return state, str(event.rows), str(event.bytes), seconds, event.sha256, place
    why = f"{event.reason}: {event.message}" if isinstance(event, ExportFailed) else event.message
    return state, str(event.rows), "-", seconds, "-", printable(f"{event.export_id}: {why}")


def printable(line: str) -> str:
    """The line with spaces in place of characters that move the cursor or can't be shown."""
    return "".join(char if char.isprintable() else " " for char in line)


@contextmanager
def publishing_progress(unit: str = "rows") -> Iterator[Advance]:
    """Show publishing progress on a terminal, elsewhere nothing. ``unit`` is what is counted."""
    # Not rich's own is_terminal, which FORCE_COLOR turns on for files too.
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _what, _rows, _part: None
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} " + unit),
        console=Console(stderr=True),
        transient=True,
        # Standard output is the command's result: don't redirect it.
        redirect_stdout=False,
    )
    with bar:
        shown = bar.add_task("requesting", total=None, rows=0)

        def advance(what: str, rows: int, part: float | None) -> None:
            total = None if part is None else 1.0
            bar.update(shown, description=what, rows=rows, total=total, completed=part or 0.0)

        yield advance
