"""``sluice watch``: terminal events as they are committed, one a line."""

import asyncio
import os
import stat
import sys
from typing import Annotated

import typer

from clients.errors import ClientError
from producer.completions import Completion, CompletionFeed
from sluice.errors import UserError
from sluice.foreground import run
from sluice.reports import event_line
from sluice.settings import Settings, load_settings


def run_watch(
    *,
    json: Annotated[
        bool, typer.Option("--json", help="Print each event's JSON exactly as in the topic.")
    ] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest event there is.")
    ] = False,
) -> int:
    """Print terminal events as they are committed, one a line, until SIGINT or SIGTERM."""
    return run(_watch(load_settings(), as_json=json, from_beginning=from_beginning))


async def _watch(settings: Settings, *, as_json: bool, from_beginning: bool) -> int:
    if sys.stdout is None:
        raise UserError("standard output is closed: there is nowhere to print to")
    nobody_reads = _end_with_reader(sys.stdout.fileno())
    feed = CompletionFeed(
        settings.topics, from_beginning=from_beginning, **settings.client_options()
    )
    try:
        async with feed:
            async for completion in feed:
                _print(completion, as_json=as_json)
    except BrokenPipeError:
        # What is left in the buffer has nowhere to go when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except asyncio.CancelledError:
        if not nobody_reads.done():
            raise  # a signal: ``run`` has its exit code
    return 0


def _print(completion: Completion, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(completion.value + b"\n")
        sys.stdout.buffer.flush()
        return
    try:
        typer.echo(event_line(completion.event()))
    except ClientError as error:
        typer.echo(f"sluice: {error}", err=True)


def _end_with_reader(stdout: int) -> asyncio.Future[None]:
    """Cancel this task as soon as nobody reads the pipe any more, not only at the next event.

    Done once it is so.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    nobody_reads: asyncio.Future[None] = loop.create_future()

    def gone() -> None:
        loop.remove_reader(stdout)
        nobody_reads.set_result(None)
        if task:
            task.cancel()

    if stat.S_ISFIFO(os.fstat(stdout).st_mode):
        loop.add_reader(stdout, gone)
    return nobody_reads
