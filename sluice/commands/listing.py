"""``sluice list``: exports of the group, read from Kafka as a node reads them.

Invariant: it prints at most ``--last`` lines.
"""

import sys
import time
from typing import Annotated

import orjson
import typer

from consumer.backlog.backlog import Backlog
from consumer.cluster import Cluster
from consumer.core.listing import MOST_ENDED, ExportState, ListedExport, Wanted, page
from consumer.errors import BacklogUnavailable
from consumer.history.history import History
from schemas.vocabulary import Format
from sluice.errors import UserError
from sluice.foreground import run
from sluice.reports import columns_of, printable
from sluice.settings import Settings, load_settings

_HISTORY_SECONDS = 60.0
_AGE_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def run_list(
    state: Annotated[
        ExportState | None, typer.Option("--state", help="Only those in this state.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only those of this user.")] = None,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="Only those of this format.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=2 * MOST_ENDED, help="At most so many, the newest.")
    ] = 200,
    json: Annotated[bool, typer.Option("--json", help="Print an object a line.")] = False,
) -> int:
    """Print exports, newest first: id, state, format, user, rows, bytes, age."""
    return run(_list(load_settings(), Wanted(state, user, file_format), last, as_json=json))


async def _list(settings: Settings, wanted: Wanted, last: int, *, as_json: bool) -> int:
    found, now = await _find(settings, wanted, last), time.time()
    lines = (
        [orjson.dumps(one.fields(int(now * 1000))).decode() for one in found]
        if as_json
        else _lines(found, now)
    )
    for line in lines:
        typer.echo(line)
    return 0


async def _find(settings: Settings, wanted: Wanted, last: int) -> list[ListedExport]:
    options = settings.client_options()
    async with Cluster(settings.topics, settings.group_id, options) as cluster:
        # Check before following: without them a follower would print a line of its own.
        await cluster.check_topics()
        async with (
            Backlog(cluster, options) as backlog,
            History(cluster, settings.topics, options) as history,
        ):
            try:
                # Unfinished first: an export that ends meanwhile is then in both lists, otherwise
                # in neither.
                unfinished = await backlog.unfinished()
                found, _ = page(await history.ended(_HISTORY_SECONDS), unfinished, wanted, last)
            except BacklogUnavailable as error:
                raise UserError(f"the exports can't be listed: {error}") from None
    return found


def _lines(found: list[ListedExport], now: float) -> list[str]:
    """A line each, in columns, and on a terminal a header."""
    header = ("ID", "STATE", "FORMAT", "USER", "ROWS", "BYTES", "AGE")
    table = [header] if sys.stdout.isatty() else []
    table += [
        (
            one.export_id,
            one.state,
            one.format,
            printable(one.user),
            _number(one.rows),
            _number(one.bytes),
            _age(now - one.requested_at_ms / 1000),
        )
        for one in found
    ]
    return columns_of(table, right={4, 5, 6})


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)


def _age(seconds: float) -> str:
    """Such as ``12s``, ``5m``, ``3h`` or ``9d``."""
    for length, unit in _AGE_UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"
