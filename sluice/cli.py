"""The command ``sluice``: which commands there are, and how each one ends.

Exit 0: it did what was asked. 1: it failed. 2: it was called wrongly. An error is one line on
stderr, never a traceback; an error nobody foresaw says where to see more.
"""

import os
import sys

import typer

from broker.errors import BrokerError
from consumer.errors import ConsumerError
from producer.errors import ProducerError
from sluice.commands import broker, seed, serve, submit, topics, watch
from sluice.errors import UserError

app = typer.Typer(
    name="sluice",
    help="Event-driven exports on Apache Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("broker")(broker.run_broker)
app.command("serve")(serve.serve)
app.command("seed")(seed.run_seed)
app.command("submit")(submit.run_submit)
app.command("watch")(watch.run_watch)
app.add_typer(topics.app, name="topics")


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        return _fail(error.format_message(), error.exit_code)
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except (BrokerError, ConsumerError, ProducerError) as error:
        return _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the program
        if os.environ.get("SLUICE_LOG_LEVEL", "").lower() == "debug":
            raise
        name = type(error).__name__
        return _fail(f"{name}: {error} (SLUICE_LOG_LEVEL=debug shows where)", 1)


def _fail(message: str, code: int) -> int:
    one_line = " ".join(message.split())
    print(f"sluice: {one_line}", file=sys.stderr)  # noqa: T201 - a command's answer
    return code
