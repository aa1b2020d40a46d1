"""``sluice watch``: terminal events as they are committed, one a line."""

import asyncio
import os
import stat
import sys
from contextlib import suppress
from typing import Annotated

import typer

from producer.completions import Completion, CompletionFeed
from producer.errors import ProducerError
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
    watching = _watch(load_settings(), as_json=json, from_beginning=from_beginning)
    return run(watching, code_on_signal=0)


async def _watch(settings: Settings, *, as_json: bool, from_beginning: bool) -> int:
    _end_with_reader(sys.stdout.fileno())
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
    return 0


def _print(completion: Completion, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(completion.value + b"\n")
        sys.stdout.buffer.flush()
        return
    try:
        typer.echo(event_line(completion.event()))
    except ProducerError as error:
        typer.echo(f"sluice: {error}", err=True)


def _end_with_reader(stdout: int) -> None:
    """End quietly as soon as nobody reads a pipe any more, not only at the next event."""
    task = asyncio.current_task()
    if task and stat.S_ISFIFO(os.fstat(stdout).st_mode):
        with suppress(OSError, NotImplementedError):
            asyncio.get_running_loop().add_reader(stdout, task.cancel)
