"""``sluice expire``: remove now what nodes remove by themselves within ten minutes.

Invariant: ``--dry-run`` prints what would be removed, and removes nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from consumer.core.expiry import Due, Removed
from consumer.errors import StorageUnavailable
from consumer.storage.base import GroupStorage
from sluice.errors import UserError
from sluice.logs import quiet_libraries
from sluice.settings import Settings, load_settings
from sluice.storage import open_storage, refusal_in_words


def run_expire(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed.")
    ] = False,
) -> int:
    """Remove expired files now, and manifests that are old enough, a line each."""
    settings = load_settings()
    quiet_libraries()
    storage = open_storage(settings)
    try:
        if storage.find() is None:
            raise UserError(f"SLUICE_STORAGE_URL: {storage.root} is no storage of a group")
        return _expire(storage, settings, dry_run=dry_run)
    except StorageUnavailable as error:
        raise refusal_in_words(error) from error
    finally:
        storage.close()


def _expire(storage: GroupStorage, settings: Settings, *, dry_run: bool) -> int:
    files = manifests = size = 0
    refused = list[str]()
    for removed in _removals(storage, settings, dry_run=dry_run):
        refused += removed.refused
        for export_id, count in removed.exports:
            typer.echo(f"{export_id} {'manifest' if removed.manifests else f'{count} bytes'}")
        if removed.manifests:
            manifests += len(removed.exports)
        else:
            files += len(removed.exports)
            size += removed.bytes
    done = "would be removed" if dry_run else "removed"
    typer.echo(f"{done}: {files} files of {size} bytes, {manifests} manifests")
    if refused:
        raise UserError(f"{len(refused)} can't be removed, the first: {refused[0]}")
    return 0


def _removals(storage: GroupStorage, settings: Settings, *, dry_run: bool) -> Iterator[Removed]:
    due = Due.at_once(datetime.now(UTC))
    yield from storage.expire(due, dry_run=dry_run)
    if kept := settings.manifests_kept:
        yield from storage.expire_manifests(due, kept, dry_run=dry_run)
