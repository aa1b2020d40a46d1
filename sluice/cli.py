"""The command ``sluice``: which commands there are, and how each one ends.

Exit codes: 0 success, 1 failure, 2 usage error. An error is one line on stderr, never a traceback;
an unexpected one says how to see more.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from broker.errors import ServerError
from clients.errors import ClientError, KafkaUnreachable
from consumer.errors import ConsumerError, NoKafka
from sluice.commands import (
    broker,
    cancel,
    check,
    dead_letters,
    demo,
    expire,
    link,
    listing,
    replay,
    retry,
    seed,
    serve,
    store,
    submit,
    tokens,
    topics,
    verify,
    watch,
)
from sluice.errors import UserError
from sluice.help import command_line
from sluice.wrong_use import wrong_use

app = typer.Typer(
    name="sluice",
    help="Event-driven exports on Apache Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sluice {version('sluice')}")
        raise typer.Exit


@app.callback()
def _sluice(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Event-driven exports on Apache Kafka."""


app.command("demo")(demo.run_demo)
app.command("broker")(broker.run_broker)
app.command("store")(store.run_store)
app.command("serve")(serve.serve)
app.command("seed")(seed.run_seed)
app.command("submit")(submit.run_submit)
app.command("watch")(watch.run_watch)
app.command("replay")(replay.run_replay)
app.command("cancel")(cancel.run_cancel)
app.command("retry")(retry.run_retry)
app.command("list")(listing.run_list)
app.command("expire")(expire.run_expire)
app.command("link")(link.run_link)
app.command("verify")(verify.run_verify)
app.command("check")(check.run_check)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(tokens.app, name="tokens")

_NO_KAFKA = "set SLUICE_BOOTSTRAP_SERVERS, or start a Kafka with `sluice broker`"


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        return command_line(app)(prog_name="sluice", standalone_mode=False) or 0
    except BrokenPipeError:  # the reader of our output is gone
        # Python flushes stdout again on exit, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if os.environ.get("SLUICE_LOG_LEVEL", "").lower() == "debug":
            raise
        message, code = _in_words(error)
        if message:  # none, where help was shown instead
            print("sluice:", " ".join(message.split()), file=sys.stderr)
        return code


def _in_words(error: Exception) -> tuple[str, int]:
    """The message for the caller, and the exit code."""
    match error:
        case typer.TyperException():
            return wrong_use(error), error.exit_code
        case UserError():
            return str(error), error.exit_code
        case KafkaUnreachable() | NoKafka() if "SLUICE_" not in str(error):
            return f"{error} ({_NO_KAFKA})", 1
        case ServerError() | ConsumerError() | ClientError():
            return str(error), 1
        case _:
            name = type(error).__name__
            return f"{name}: {error} (SLUICE_LOG_LEVEL=debug shows where)", 1
