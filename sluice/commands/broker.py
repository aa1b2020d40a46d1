"""``sluice broker``: a real Kafka in the foreground.

Invariant: from the first line on, SIGINT and SIGTERM end it with 0, and Kafka ends in order.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from broker.embedded import EmbeddedKafka
from broker.errors import ServerInterruptedError
from sluice.foreground import catch_signals


def run_broker(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where it listens; 0 picks a free port.")
    ] = 9092,
    data_dir: Annotated[
        Path,
        typer.Option(
            help="Where its data is kept: by default .kafka under the current directory.",
            file_okay=False,
        ),
    ] = Path(".kafka"),
) -> None:
    """Run the embedded Kafka in the foreground until SIGINT or SIGTERM.

    It prints one line, bootstrap.servers=127.0.0.1:PORT, when it is ready.
    Started again on the same directory it has its data.
    Topics are never created by themselves.
    """
    catch_signals()  # while jars are fetched there is nothing to stop
    notice = _to_terminal if sys.stderr.isatty() else None
    kafka = EmbeddedKafka(data_dir, port, notice=notice)
    kafka.prepare()
    _on_signals(lambda _number, _frame: kafka.interrupt())
    try:
        kafka.start()
        typer.echo(f"bootstrap.servers={kafka.bootstrap_servers}")
        raise kafka.wait()
    except ServerInterruptedError:
        return
    finally:
        kafka.stop()
        # Python gives up its handlers before it ends; one more Ctrl-C then would be fatal.
        _on_signals(signal.SIG_IGN)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _to_terminal(line: str) -> None:
    typer.echo(line, err=True)
