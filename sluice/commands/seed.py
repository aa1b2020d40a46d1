"""``sluice seed``: publish generated exports, and follow them with ``--wait``."""

from typing import Annotated, TypeAlias

import typer

from producer.completions import CompletionFeed
from producer.publisher import Export, ExportPublisher
from producer.seed.scenarios import FIVE_SCENARIOS, Scenario, publish
from schemas.completions import Source
from schemas.vocabulary import Format
from sluice.errors import UsageError
from sluice.foreground import run
from sluice.no_node import no_node_noticed
from sluice.reports import cancelled_if_interrupted, publishing_progress, report_endings
from sluice.settings import Settings, load_settings

Plan: TypeAlias = list[tuple[Scenario, int]]
"""What to publish, in order; the index distinguishes exports of one scenario."""


def run_seed(
    *,
    records: Annotated[int | None, typer.Option(min=0, help="Rows of each export.")] = None,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="The format of the file.")
    ] = None,
    exports: Annotated[int, typer.Option(min=1, help="How many of each.")] = 1,
    batch: Annotated[
        bool, typer.Option("--batch", help="CSV of 1k, 10k, 50k rows and PDF of 1k, 10k.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow them; fail unless all complete.")
    ] = False,
) -> int:
    """Publish generated exports with realistic rows; print each one's id."""
    scenarios = _scenarios(records, file_format, batch=batch)
    plan = [(scenario, index) for index in range(exports) for scenario in scenarios]
    return run(_seed(load_settings(), plan, seed, wait=wait))


def _scenarios(
    records: int | None, file_format: Format | None, *, batch: bool
) -> tuple[Scenario, ...]:
    if batch:  # it has its own records and formats, whatever is given beside it
        return FIVE_SCENARIOS
    if records is None or file_format is None:
        raise UsageError("give --records and --format, or --batch")
    return (Scenario(file_format, records),)


async def _seed(settings: Settings, plan: Plan, seed: int, *, wait: bool) -> int:
    if not wait:
        await _publish_all(settings, plan, seed)
        return 0
    # Start the feed first, so that no end is missed.
    async with CompletionFeed(settings.topics, **settings.client_options()) as feed:
        sources = await _publish_all(settings, plan, seed)
        async with no_node_noticed(settings):
            return await report_endings(feed, sources)


async def _publish_all(settings: Settings, plan: Plan, seed: int) -> dict[str, Source]:
    sources = {}
    async with ExportPublisher(settings.topics, **settings.client_options()) as publisher:
        for scenario, index in plan:
            export = await _publish(publisher, scenario, seed, index)
            typer.echo(export.export_id)
            sources[export.export_id] = export.source
    return sources


async def _publish(publisher: ExportPublisher, scenario: Scenario, seed: int, index: int) -> Export:
    begun: list[str] = []
    with publishing_progress() as advance, cancelled_if_interrupted(begun):

        def on_rows(export: Export) -> None:
            begun[:] = [export.export_id]
            part = export.rows / scenario.records if scenario.records else 1.0
            advance(export.export_id, export.rows, part)

        return await publish(publisher, scenario, seed=seed, index=index, on_rows=on_rows)
