"""``sluice cancel``: ask for an export to be cancelled."""

from typing import Annotated

import typer

from producer.publisher import ExportPublisher
from schemas.errors import shown
from schemas.vocabulary import EXPORT_ID_IN_WORDS, is_export_id
from sluice.errors import UsageError
from sluice.foreground import run
from sluice.settings import Settings, load_settings


def run_cancel(
    export_id: Annotated[str, typer.Argument(help="The id that it was requested under.")],
) -> int:
    """Ask for an export to be cancelled, no matter who requested it.

    The cancellation goes to every partition. One that comes after the end changes nothing;
    `sluice watch` shows how the export ends.
    """
    if not is_export_id(export_id):
        raise UsageError(f"EXPORT_ID: {shown(export_id)} is none: {EXPORT_ID_IN_WORDS}")
    return run(_cancel(load_settings(), export_id))


async def _cancel(settings: Settings, export_id: str) -> int:
    async with ExportPublisher(settings.topics, **settings.client_options()) as publisher:
        await publisher.cancel(export_id)
    topic = settings.topics.requests
    typer.echo(f"requested that {export_id} be cancelled, on every partition of {topic}")
    return 0
