"""What ``--help`` adds to Typer's own: examples of each command, and names in place of types.

Invariant: each command has an example, and each example is a call that its command accepts; a test
holds both.
"""

import re
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

EXAMPLES: dict[str, tuple[str, ...]] = {
    "sluice": (
        "sluice demo",
        "sluice submit orders.csv --format pdf --wait",
        "sluice --install-completion",
    ),
    "sluice demo": ("sluice demo --keep", "SLUICE_STORAGE_URL=/srv/exports sluice demo"),
    "sluice broker": ("sluice broker", "sluice broker --port 0 --data-dir /tmp/kafka"),
    "sluice store": ("sluice store --bucket exports",),
    "sluice serve": ("sluice serve", "SLUICE_HTTP_PORT=8080 sluice serve"),
    "sluice seed": (
        "sluice seed --records 1000 --format csv --wait",
        "sluice seed --batch --exports 3",
    ),
    "sluice submit": (
        "sluice submit orders.csv --format pdf --title Orders --wait",
        "sluice submit orders.csv --format xlsx --column id::integer",
        "sluice submit orders.xlsx --sheet 2026 --format pdf --header id=Number",
        "sluice submit - --input-format ndjson --format csv < rows.ndjson",
    ),
    "sluice watch": ("sluice watch --from-beginning", "sluice watch --json | jq .location"),
    "sluice replay": (
        "sluice replay --from 2026-11-21T10:00:00Z --speed 10",
        "sluice replay --from 2026-11-21T10:00:00Z --copies 5 --rate 20",
    ),
    "sluice cancel": ("sluice cancel ord-2026-11",),
    "sluice link": ("sluice link ord-2026-11", "sluice link ord-2026-11 --expires-in 86400"),
    "sluice retry": (
        "sluice retry ord-2026-11 --wait",
        "sluice retry --reason timed_out --from 2026-11-21T10:00:00Z --dry-run",
    ),
    "sluice list": ("sluice list", "sluice list --state failed --last 20 --json"),
    "sluice expire": ("sluice expire --dry-run", "sluice expire"),
    "sluice verify": ("sluice verify ./exports", "sluice verify exports/ord-2026-11.csv"),
    "sluice check": ("sluice check", "sluice check http://node-2:4001"),
    "sluice topics": ("sluice topics create",),
    "sluice topics create": (
        "sluice topics create",
        "SLUICE_PARTITIONS=24 SLUICE_REPLICATION_FACTOR=3 sluice topics create",
    ),
    "sluice tokens": ("sluice tokens create --user alice", "sluice tokens list"),
    "sluice tokens create": (
        "sluice tokens create --user alice",
        "sluice tokens create --user ops --role operator",
    ),
    "sluice tokens list": ("sluice tokens list",),
    "sluice tokens revoke": ("sluice tokens revoke 3f9a0c51d7e2",),
    "sluice dead-letters": ("sluice dead-letters list", "sluice dead-letters requeue 3:17"),
    "sluice dead-letters list": (
        "sluice dead-letters list --last 20",
        "sluice dead-letters list --reason orphan_batch --json",
    ),
    "sluice dead-letters requeue": (
        "sluice dead-letters requeue 3:17 4:2",
        "sluice dead-letters requeue --reason orphan_batch --dry-run",
    ),
}
"""By command. Anything before ``sluice`` is shell syntax."""


def command_line(app: typer.Typer) -> TyperGroup:
    """The commands of ``app``, with their examples; flags show no type, numbers show ``N``."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101 - it has more than one command
    _complete(root, "sluice")
    return root


def _complete(command: Any, words: str) -> None:  # noqa: ANN401 - Typer doesn't name its base
    # An empty line between two, as Rich joins lines that follow each other.
    command.epilog = "\n\n".join(["Examples:", *(f"$ {line}" for line in EXAMPLES.get(words, ()))])
    help_option = command.get_help_option(command.make_context(words, [], resilient_parsing=True))
    # Typer keeps the line ends of a docstring, whose lines are longer than a terminal's.
    command.help = "\n\n".join(
        " ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n")
    )
    for parameter in [*command.params, help_option]:
        parameter.metavar = _metavar(parameter)
        if isinstance(parameter, TyperArgument):
            argument: Any = parameter  # all are texts, named by what they are
            argument.display_type_rich = _no_type
    for name, inner in getattr(command, "commands", {}).items():
        _complete(inner, f"{words} {name}")


def _no_type(**_: object) -> None:
    """What stands beside the name of an argument."""


def _metavar(parameter: Any) -> str | None:  # noqa: ANN401 - likewise
    if parameter.metavar is not None:
        return str(parameter.metavar)
    if isinstance(parameter, TyperArgument):
        return str(parameter.name).upper()
    if parameter.is_flag:
        return ""
    # One of a list is given like one alone, again and again.
    shown = re.sub(r"^<list\[(.*)\]>$", r"<\1>", parameter.display_type(None))
    return {"<int range>": "N", "<int>": "N", "<str>": "TEXT", "<path>": "PATH"}.get(shown, shown)
