"""Notices when no node is running while a command waits for an export to end.

Invariant: it only prints one line on stderr; the wait continues, because a node may start at any
time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from sluice.settings import Settings

_FIRST_LOOK_SECONDS = 5.0
_NEXT_LOOK_SECONDS = 10.0


@asynccontextmanager
async def no_node_noticed(settings: Settings) -> AsyncIterator[None]:
    """Within it a line on stderr says so, once the group has had no member for some seconds."""
    watching = asyncio.create_task(_watch(settings), name="notice that there is no node")
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(settings: Settings) -> None:
    await asyncio.sleep(_FIRST_LOOK_SECONDS)
    while await _fetch_has_members(settings):  # noqa: ASYNC110 - only Kafka knows
        await asyncio.sleep(_NEXT_LOOK_SECONDS)
    typer.echo(
        f"sluice: waiting: no node of the group {settings.group_id} is running; `sluice serve`"
        " starts one",
        err=True,
    )


async def _fetch_has_members(settings: Settings) -> bool:
    """Whether the group has a member; True also if that can't be determined."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        await admin.start()
        (answer,) = await admin.describe_consumer_groups([settings.group_id])
    except (KafkaError, OSError):
        return True
    finally:
        await admin.close()
    ((error, _, state, *_),) = answer.groups
    return bool(error) or state not in {"Empty", "Dead"}
