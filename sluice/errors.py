"""Errors that end a command, with one line for the user.

UsageError    exit 2: it was called wrongly
UserError     exit 1: it failed; the message says what to do
"""


class UserError(Exception):
    """The command failed. The message is one line, without a traceback."""

    exit_code = 1


class UsageError(UserError):
    """The command was called wrongly."""

    exit_code = 2
