"""Typer's findings at a command line, in words that name the option and what to do.

Invariant: one line, which ends in one hint: what was meant, or where the help is.
"""

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperArgument

from sluice.findings import in_words

_NO_OPTION = "No such option: "


def wrong_use(error: typer.TyperException, called: str) -> str:
    """The line; empty, where Typer shows help instead of an error.

    ``called``: the command, for findings that don't name theirs.
    """
    message = error.format_message()
    if not message:
        return ""
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else called
    parameter: Any = getattr(error, "param", None)
    option = getattr(error, "option_name", None)
    meant = [*(getattr(error, "possibilities", None) or ())]
    if parameter is not None:
        message = f"{_name(parameter)}: {_finding(error)}"
    elif option and error.message.startswith(_NO_OPTION):
        message = f"{option[:80]!s}: is not an option of `{command}`"
    elif option:
        message = f"{option}: {error.message.removeprefix(f'Option {option!r} ').rstrip('.')}"
    if meant:
        return f"{message} (did you mean {' or '.join(sorted(meant))}?)"
    if "Did you mean" in message:
        return message
    return f"{message.rstrip('.')} (`{command} --help` has examples)"


def _name(parameter: Any) -> str:  # noqa: ANN401 - Typer doesn't name the base of parameters
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name).upper()
    return str(max(parameter.opts, key=len))


def _finding(error: typer.TyperException) -> str:
    if isinstance(error.__cause__, ValidationError):
        (finding, *_) = error.__cause__.errors(include_url=False)
        if finding["type"] in _PLAIN:
            return in_words(finding)
    # What is missing comes with no message of its own.
    return error.message.removeprefix("Value error, ").rstrip(".") or "must be given"


_PLAIN = {
    *("int_parsing", "int_parsing_size", "int_from_float", "float_parsing", "finite_number"),
    *("greater_than", "greater_than_equal", "less_than_equal"),
}
