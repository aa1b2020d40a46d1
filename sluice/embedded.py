"""Runs an embedded server in the foreground, for the commands that do nothing else.

Invariant: from the first line on, SIGINT and SIGTERM end the command with 0 and shut the server
down cleanly.
"""

import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from broker.errors import ServerInterruptedError
from broker.server import EmbeddedServer
from sluice.foreground import catch_signals, ignore_signals

PortOption = Annotated[
    int, typer.Option(min=0, max=65_535, help="Where it listens; 0 picks a free port.")
]


def terminal_notice() -> Callable[[str], None] | None:
    """A function that shows notices on stderr; None if stderr is no terminal."""
    return _to_stderr if sys.stderr.isatty() else None


def run_server(server: EmbeddedServer, ready: Callable[[], str]) -> None:
    """Run a server until a signal comes, or it ends; print ``ready()`` once it answers.

    Raises:
        ServerError: it can't run, or has ended by itself.
    """
    catch_signals()  # nothing to stop while jars are being fetched
    server.prepare()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: server.interrupt())
    try:
        server.start()
        typer.echo(ready())
        raise server.wait()
    except ServerInterruptedError:
        return
    finally:
        server.stop()
        ignore_signals()


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)
