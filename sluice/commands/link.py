"""``sluice link``: a signed link that downloads one export without a token.

Created from the storage and the keys alone, as a node would; neither Kafka nor a node has to be
running. Invariant: the link appears on standard output and nowhere else.
"""

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from schemas.completions import ExportCompleted
from schemas.errors import shown
from schemas.vocabulary import EXPORT_ID_IN_WORDS, is_export_id
from sluice.errors import UsageError, UserError
from sluice.foreground import run
from sluice.links import DEFAULT_LINK_SECONDS, MOST_LINK_SECONDS, link_end, link_url
from sluice.settings import Settings, load_settings
from sluice.storage import open_storage, within


def run_link(
    export_id: Annotated[str, typer.Argument(help="The id that it was requested under.")],
    expires_in: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_LINK_SECONDS,
            metavar="SECONDS",
            help=f"How long the link lasts. Default: {DEFAULT_LINK_SECONDS}.",
            show_default=False,
        ),
    ] = DEFAULT_LINK_SECONDS,
) -> int:
    """Print a link that downloads an export's file without a token.

    It is signed with the newest of SLUICE_LINK_KEYS and begins with SLUICE_PUBLIC_URL, by
    default the node of the settings. It ends when the file expires at the latest.
    """
    if not is_export_id(export_id):
        raise UsageError(f"EXPORT_ID: {shown(export_id)} is none: {EXPORT_ID_IN_WORDS}")
    return run(_link(load_settings(), export_id, expires_in))


async def _link(settings: Settings, export_id: str, seconds: int) -> int:
    if settings.signing_keys is None:
        raise UsageError("SLUICE_LINK_KEYS: must be set, as to the nodes: it signs the link")
    base_url = settings.public_url or settings.node_url
    if base_url is None:
        raise UsageError("SLUICE_PUBLIC_URL: must be set, as SLUICE_HTTP_PORT is 0")
    event = await _find(settings, export_id)
    expires = link_end(time.time(), seconds, event.expires_at)
    if expires is None:
        raise UserError(f"the file of {export_id} has expired")
    typer.echo(link_url(base_url, settings.signing_keys, export_id, expires))
    return 0


async def _find(settings: Settings, export_id: str) -> ExportCompleted:
    with closing(open_storage(settings)) as storage:
        # Before all else: a look-up would make a storage of a root that is none, or not mounted.
        if await within(storage.find) is None:
            raise UserError(f"SLUICE_STORAGE_URL: {storage.root} is no storage of a group")
        event = await within(lambda: storage.manifest(export_id))
        if event is None:
            raise UserError(f"{storage.root} has no export {export_id} that has ended")
        if not isinstance(event, ExportCompleted):
            state = event.type.removeprefix("export.")
            raise UserError(f"{export_id} is {state}: it has no file")
        if event.expired(datetime.now(UTC)):
            raise UserError(f"the file of {export_id} has expired")
        if not await within(lambda: storage.has_file(event)):
            raise UserError(f"{storage.root} has no file of {export_id} any more")
    return event
