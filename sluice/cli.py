"""The command ``sluice``: which commands there are, and how each one ends.

Exit codes: 0 success, 1 failure, 2 usage error. An error is one line on stderr, never a traceback;
an unexpected one says how to see more.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from broker.errors import ServerError
from clients.errors import ClientError, KafkaUnreachable
from consumer.errors import ConsumerError, NoKafka
from sluice.errors import UserError
from sluice.help import command_line
from sluice.wrong_use import wrong_use

_COMMANDS = {
    "demo": ("demo", "run_demo"),
    "broker": ("broker", "run_broker"),
    "store": ("store", "run_store"),
    "serve": ("serve", "serve"),
    "seed": ("seed", "run_seed"),
    "submit": ("submit", "run_submit"),
    "watch": ("watch", "run_watch"),
    "replay": ("replay", "run_replay"),
    "cancel": ("cancel", "run_cancel"),
    "retry": ("retry", "run_retry"),
    "list": ("listing", "run_list"),
    "expire": ("expire", "run_expire"),
    "link": ("link", "run_link"),
    "verify": ("verify", "run_verify"),
    "check": ("check", "run_check"),
    "topics": ("topics", "app"),
    "dead-letters": ("dead_letters", "app"),
    "tokens": ("tokens", "app"),
}
"""Each command's module in ``sluice.commands``, and its function or group there."""


def application(names: Iterable[str] = _COMMANDS) -> typer.Typer:
    """The command line with these commands; only their modules are imported."""
    app = typer.Typer(
        name="sluice",
        help="Event-driven exports on Apache Kafka.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_sluice)
    for name in names:
        module, attribute = _COMMANDS[name]
        command = getattr(import_module(f"sluice.commands.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sluice {version('sluice')}")
        raise typer.Exit


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


_FORESEEN = (typer.TyperException, UserError, ServerError, ConsumerError, ClientError)
_NO_KAFKA = "set SLUICE_BOOTSTRAP_SERVERS, or start a Kafka with `sluice broker`"


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        app = application(_wanted(sys.argv[1:]))
        return command_line(app)(prog_name="sluice", standalone_mode=False) or 0
    except BrokenPipeError:  # the reader of our output is gone
        # Python flushes stdout again on exit, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except _FORESEEN as error:
        message, code = _in_words(error)
    except Exception as error:
        if os.environ.get("SLUICE_LOG_LEVEL", "").lower() == "debug":
            raise
        message, code = f"{type(error).__name__}: {error} (SLUICE_LOG_LEVEL=debug shows where)", 1
    if message:  # none, where help was shown instead
        print("sluice:", " ".join(message.split()), file=sys.stderr)
    return code


def _wanted(arguments: Sequence[str]) -> Iterable[str]:
    """The commands that a call needs: importing all of them takes longer than most take to run."""
    if "_SLUICE_COMPLETE" not in os.environ:
        match arguments:
            case [name, *_] if name in _COMMANDS:
                return [name]
            case ["--version"]:
                return []
    return _COMMANDS


def _in_words(error: Exception) -> tuple[str, int]:
    """The message for the caller, and the exit code."""
    match error:
        case typer.TyperException():
            called = [name for name in sys.argv[1:2] if name in _COMMANDS]
            return wrong_use(error, " ".join(["sluice", *called])), error.exit_code
        case UserError():
            return str(error), error.exit_code
        case KafkaUnreachable() | NoKafka() if "SLUICE_" not in str(error):
            return f"{error} ({_NO_KAFKA})", 1
        case _:
            return str(error), 1
