"""The command ``sluice``: which commands there are, and how each one ends.

Exit 0: it did its task. 1: it failed. 2: it was called wrongly. An error is one line on
stderr, never a traceback; an error nobody foresaw says where to see more.
"""

import os
import sys

import typer

from broker.errors import ServerError
from clients.errors import ClientError
from consumer.errors import ConsumerError
from sluice.commands import (
    broker,
    cancel,
    check,
    dead_letters,
    demo,
    replay,
    seed,
    serve,
    store,
    submit,
    topics,
    verify,
    watch,
)
from sluice.errors import UserError

app = typer.Typer(
    name="sluice",
    help="Event-driven exports on Apache Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.run_demo)
app.command("broker")(broker.run_broker)
app.command("store")(store.run_store)
app.command("serve")(serve.serve)
app.command("seed")(seed.run_seed)
app.command("submit")(submit.run_submit)
app.command("watch")(watch.run_watch)
app.command("replay")(replay.run_replay)
app.command("cancel")(cancel.run_cancel)
app.command("verify")(verify.run_verify)
app.command("check")(check.run_check)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")

_PREFIX = "Value error, "  # pydantic's, by which Typer checks


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        return app(standalone_mode=False) or 0
    except BrokenPipeError:  # the reader of our output has left
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
    """What to tell the person who called, and the exit code."""
    match error:
        case typer.TyperException():
            return error.format_message().replace(_PREFIX, "", 1), error.exit_code
        case UserError():
            return str(error), error.exit_code
        case ServerError() | ConsumerError() | ClientError():
            return str(error), 1
        case _:
            name = type(error).__name__
            return f"{name}: {error} (SLUICE_LOG_LEVEL=debug shows where)", 1
