"""``sluice demo``: the main workflow on this machine, with nothing else installed.

An embedded Kafka, one node and five generated exports; everything but Kafka runs in this process.
Optionally with an embedded object store. The files stay; Kafka and its data are removed.

Invariant: interrupted at any moment, it exits with 128 + the signal's number, and leaves neither a
process nor Kafka's data.
"""

import asyncio
import logging
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from broker.embedded import EmbeddedKafka
from broker.store import EmbeddedStore
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import Export, ExportPublisher
from producer.seed.scenarios import FIVE_SCENARIOS, Scenario, publish
from schemas.completions import ExportCompleted, TerminalEvent
from sluice.errors import UserError
from sluice.foreground import catch_signals, ignore_signals, run
from sluice.logs import configure_logging
from sluice.progress import ExportBars, export_bars
from sluice.reports import closing_table, terminal_width
from sluice.settings import Settings, load_settings

if TYPE_CHECKING:
    from sluice.http.server import HttpServer
    from sluice.node import Node

_READY_SECONDS = 60.0
_EXPORTS_SECONDS = 300.0
_REFRESH_SECONDS = 0.1
_STORE_DIRECTORY = Path(".store")
_BUCKET = "sluice-demo"
_KEY_BYTES = 32


class DemoStorage(StrEnum):
    """Where the files go."""

    SETTINGS = "settings"
    S3 = "s3"


def run_demo(
    storage: Annotated[
        DemoStorage,
        typer.Option(help="s3: a bucket of the embedded object store, its data in .store."),
    ] = DemoStorage.SETTINGS,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay up until Ctrl-C, with the node's page.")
    ] = False,
) -> int:
    """Run five exports on an embedded Kafka: CSV of 1k, 10k, 50k rows and PDF of 1k, 10k.

    The files stay in SLUICE_STORAGE_URL (./exports). Exits 0 only if every export completed.
    """
    catch_signals(None)
    code = _run_demo(storage, keep)
    ignore_signals()
    return code


def _run_demo(storage: DemoStorage, keep: bool) -> int:
    settings = load_settings(serves=True)
    _configure_logging(settings)
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as directory:
        typer.echo("starting an embedded Apache Kafka …")
        with EmbeddedKafka(Path(directory), notice=typer.echo) as kafka:
            typer.echo(f"Kafka answers at {kafka.bootstrap_servers}")
            settings = _on(settings, kafka.bootstrap_servers)
            with _stored(settings, storage) as stored:
                return run(_demo(stored, keep))


def _configure_logging(settings: Settings) -> None:
    """Warnings go between the demo's lines; by SLUICE_LOG_LEVEL more or fewer."""
    if "log_level" in settings.model_fields_set:
        configure_logging(settings.log_level, settings.log_format)
        return
    configure_logging("warning", settings.log_format)
    # A busy machine holds the loop up, which tells a newcomer nothing.
    logging.getLogger("sluice.loop_watch").setLevel(logging.ERROR)


def _on(settings: Settings, bootstrap_servers: str) -> Settings:
    """The same settings, on the embedded Kafka and a free HTTP port, with links enabled."""
    keys = settings.link_keys or SecretStr(secrets.token_urlsafe(_KEY_BYTES))
    return settings.model_copy(
        update={
            "bootstrap_servers": bootstrap_servers,
            "security_protocol": "PLAINTEXT",
            "group_instance_id": None,
            "http_port": 0,
            "link_keys": keys,
        }
    )


@contextmanager
def _stored(settings: Settings, storage: DemoStorage) -> Iterator[Settings]:
    """The same settings, with the chosen storage, which exists for the block."""
    if storage is DemoStorage.SETTINGS:
        yield settings
        return
    typer.echo("starting an embedded object store …")
    with EmbeddedStore(_STORE_DIRECTORY, notice=typer.echo) as store:
        store.create_bucket(_BUCKET)
        typer.echo(f"an object store answers at {store.endpoint}")
        keys = store.credentials
        options = {
            "endpoint": store.endpoint,
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
        }
        text = ",".join(f"{key}={value}" for key, value in options.items())
        update = {"storage_url": f"s3://{_BUCKET}", "storage_options": SecretStr(text)}
        yield settings.model_copy(update=update)
    typer.echo(f"the files stay: sluice store --bucket {_BUCKET} serves them again")


async def _demo(settings: Settings, keep: bool) -> int:
    options = settings.client_options()
    await create_topics(settings.topics, settings.partitions, 1, **options)
    async with _working_node(settings) as (node, server):
        async with (
            # Start before publishing, so that no event is missed.
            CompletionFeed(settings.topics, **options) as feed,
            ExportPublisher(settings.topics, **options) as publisher,
            asyncio.timeout(_EXPORTS_SECONDS),
        ):
            events = await _run_exports(node, feed, publisher)
        typer.echo(closing_table(events, terminal_width()))
        if keep:
            kafka = settings.bootstrap_servers
            typer.echo(f"Kafka stays up too: SLUICE_BOOTSTRAP_SERVERS={kafka}")
            typer.echo(f"until Ctrl-C, the page: {server.url}/")
            await server.wait()
    if not keep:
        typer.echo(f"the page was {server.url}/ (`sluice demo --keep` leaves it open)")
    return 0 if all(isinstance(event, ExportCompleted) for event in events) else 1


@asynccontextmanager
async def _working_node(settings: Settings) -> AsyncIterator[tuple["Node", "HttpServer"]]:
    """A node that is ready, for the block."""
    # Takes half a second, and only this command and `serve` need it.
    from sluice.node import open_node  # noqa: PLC0415

    async with open_node(settings) as (node, server):
        typer.echo(f"one node works; its page: {server.url}/")
        working = asyncio.create_task(node.run())
        try:
            await _until_ready(node)
            yield node, server
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def _until_ready(node: "Node") -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while problems := await node.problems():
        if time.monotonic() > deadline:
            raise UserError(f"the node did not get ready: {'; '.join(problems)}")
        await asyncio.sleep(_REFRESH_SECONDS)


async def _run_exports(
    node: "Node", feed: CompletionFeed, publisher: ExportPublisher
) -> list[TerminalEvent]:
    """Publish the five exports at once and follow each to its end; events in order of size."""
    with export_bars({scenario.name: scenario.records for scenario in FIVE_SCENARIOS}) as bars:
        watching = asyncio.create_task(_show_progress(node, bars))
        try:
            async with asyncio.TaskGroup() as publishing:
                tasks = [
                    publishing.create_task(_publish(publisher, scenario, number, bars))
                    for number, scenario in enumerate(FIVE_SCENARIOS)
                ]
            sources = {task.result().export_id: task.result().source for task in tasks}
            events = []
            async for event in feed.endings(sources):
                bars.ended(event)
                events.append(event)
        finally:
            watching.cancel()
    return sorted(events, key=lambda event: (event.format, event.rows))


async def _publish(
    publisher: ExportPublisher, scenario: Scenario, seed: int, bars: ExportBars
) -> Export:
    def requested(export: Export) -> None:
        bars.requested(scenario.name, export.export_id)

    return await publish(publisher, scenario, seed=seed, on_rows=requested)


async def _show_progress(node: "Node", bars: ExportBars) -> None:
    while True:
        for export_id in bars.running:
            if progress := node.progress(export_id):
                bars.written(export_id, progress[0])
        await asyncio.sleep(_REFRESH_SECONDS)
