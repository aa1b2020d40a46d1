"""``sluice broker``: a real Kafka in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from broker.embedded import EmbeddedKafka
from sluice.embedded import PortOption, run_server, terminal_notice


def run_broker(
    port: PortOption = 9092,
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
    kafka = EmbeddedKafka(data_dir, port, notice=terminal_notice())
    run_server(kafka, lambda: f"bootstrap.servers={kafka.bootstrap_servers}")
