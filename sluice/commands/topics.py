"""``sluice topics create``: the only command, but ``demo``, that creates topics."""

import typer

from producer.topics import TopicState, create_topics
from sluice.foreground import run
from sluice.settings import Settings, load_settings

app = typer.Typer(help="The four topics.", no_args_is_help=True)


@app.callback()
def _topics() -> None:
    """The four topics."""


@app.command("create")
def run_create() -> int:
    """Create those of the four topics that are missing; the others stay as they are."""
    return run(_create(load_settings()))


async def _create(settings: Settings) -> int:
    states = await create_topics(
        settings.topics,
        settings.partitions,
        settings.replication_factor,
        **settings.client_options(),
    )
    for state in states:
        typer.echo(_line(state))
    return 0


def _line(state: TopicState) -> str:
    what = "created" if state.created else "exists"
    return f"{what} {state.name} partitions={state.partitions}"
