"""``sluice topics create``: besides ``demo``, the only command that creates topics.

It also initialises the storage, as the first node would. Invariant: an unreachable storage is no
error.
"""

from typing import Annotated

import typer

from clients.topics import TopicState, create_topics
from consumer.cluster import Cluster
from consumer.errors import NodeRefused
from consumer.storage.base import GroupStorage
from sluice.errors import UserError
from sluice.foreground import run
from sluice.reports import printable
from sluice.settings import Settings, load_settings
from sluice.storage import open_storage, recognise, within

app = typer.Typer(help="The four topics.", no_args_is_help=True)


@app.callback()
def _topics() -> None:
    """The four topics."""


@app.command("create")
def run_create(
    new_storage: Annotated[
        bool,
        typer.Option(
            "--new-storage", help="Begin a new storage, though the group has worked in one."
        ),
    ] = False,
) -> int:
    """Create those of the four topics that are missing; the others stay as they are.

    An empty storage of a group that has not worked yet gets its .sluice.json.
    """
    return run(_create(load_settings(), new_storage))


async def _create(settings: Settings, new_storage: bool) -> int:
    states = await create_topics(
        settings.topics,
        settings.partitions,
        settings.replication_factor,
        **settings.client_options(),
    )
    for state in states:
        typer.echo(_line(state))
    # After the topics: the group's commits on them show whether it has worked.
    storage = open_storage(settings)
    if new_storage:
        await within(storage.found)
    else:
        await _recognise(storage, settings)
    return 0


async def _recognise(storage: GroupStorage, settings: Settings) -> None:
    """Initialise the storage if it can be reached from here; else the first node will."""
    options = settings.client_options()
    try:
        async with Cluster(settings.topics, settings.group_id, options) as cluster:
            await recognise(storage, cluster)
    except (UserError, NodeRefused) as error:
        typer.echo(printable(f"note: {error}"), err=True)


def _line(state: TopicState) -> str:
    what = "created" if state.created else "exists"
    return f"{what} {state.name} partitions={state.partitions}"
