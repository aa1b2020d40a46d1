"""``sluice tokens create``, ``list`` and ``revoke``: keep the token file of the HTTP interface.

Invariant: a token is printed once, by the command that creates it, and never stored.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import shown
from schemas.requests import is_user
from sluice.access.askers import Role
from sluice.access.token_file import (
    ID_LETTERS,
    add_token,
    parse_tokens,
    read_tokens,
    revoke_token,
)
from sluice.errors import UsageError, UserError
from sluice.reports import columns_of, printable
from sluice.settings import load_settings

app = typer.Typer(help="Tokens of the HTTP interface.", no_args_is_help=True)


@app.callback()
def _tokens() -> None:
    """Tokens of the HTTP interface."""


@app.command("create")
def run_create(
    *,
    user: Annotated[str, typer.Option("--user", help="Whose it is.")],
    role: Annotated[
        Role, typer.Option("--role", help="An operator acts on all exports and dead letters.")
    ] = Role.USER,
) -> int:
    """Make a token, print it, and put its hash into the file of SLUICE_API_TOKENS_FILE.

    It is shown this once. Nodes take it within seconds.
    """
    if not is_user(user):
        raise UsageError(f"--user: {shown(user)} is empty, too long or no text")
    path = _token_file()
    with _in_words(path):
        typer.echo(add_token(path, user, role))
    return 0


@app.command("list")
def run_list() -> int:
    """Print the tokens of the file, one a line: id, user, role."""
    path = _token_file()
    with _in_words(path):
        known = parse_tokens(read_tokens(path)) if path.exists() else []
    table = [("ID", "USER", "ROLE")] if sys.stdout.isatty() else []
    table += [(one.token_id, printable(one.user), str(one.role)) for one in known]
    for line in columns_of(table):
        typer.echo(line)
    return 0


@app.command("revoke")
def run_revoke(
    token_id: Annotated[
        str, typer.Argument(help="The id of the token, as `tokens list` prints it.")
    ],
) -> int:
    """Take a token out of the file. Nodes refuse it within seconds."""
    if not re.fullmatch(f"[0-9a-f]{{{ID_LETTERS}}}", token_id):
        raise UsageError(f"TOKEN_ID: {shown(token_id)} is none: {ID_LETTERS} of 0 to 9 and a to f")
    path = _token_file()
    with _in_words(path):
        revoked = revoke_token(path, token_id)
    if not revoked:
        raise UserError(f"there is no token {token_id} in {path} (`sluice tokens list`)")
    for one in revoked:
        typer.echo(f"revoked {one.token_id} of {printable(one.user)}")
    return 0


def _token_file() -> Path:
    path = load_settings().api_tokens_file
    if path is None:
        raise UsageError("SLUICE_API_TOKENS_FILE: must be set: it is the file that is kept")
    return path


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} can't be changed or read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"SLUICE_API_TOKENS_FILE: {path}: {error}") from None
