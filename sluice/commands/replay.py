"""``sluice replay``: publish recorded exports again, as a load test, with a summary."""

import math
from typing import Annotated

import typer

from producer.replay.pacing import AtRate, AtSpeed, ReplayPace
from producer.replay.replaying import ReplayOptions, replay
from sluice.errors import UsageError
from sluice.foreground import run
from sluice.given_times import period_given
from sluice.reports import publishing_progress
from sluice.settings import Settings, load_settings


def run_replay(
    *,
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="RFC 3339, UTC: 2026-11-21T10:00:00Z.")
    ],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Excluded. Default: now.")
    ] = None,
    copies: Annotated[int, typer.Option(min=1, max=1_000, help="How often each export.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option(metavar="EXPORTS_PER_SECOND", help="Requests evenly, copies included."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="So many times as fast as recorded. Default: 1."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long to wait for ends when all is sent."),
    ] = 300.0,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Publish the exports that were requested in a period again, under new ids; print a summary.

    For load tests: requests and batches come in the order and at the times of the recording. Fails
    unless all of them complete.
    """
    since_ms, until_ms = period_given(since, until)
    _require_positive("--timeout", timeout)
    pace = _pace(rate, speed)
    settings = load_settings()
    options = ReplayOptions(settings.topics, since_ms or 0, until_ms, pace, copies, timeout)
    return run(_replay(settings, options, as_json=json))


def _pace(rate: float | None, speed: float | None) -> ReplayPace:
    if rate is not None and speed is not None:
        raise UsageError("give --rate or --speed, not both")
    if rate is not None:
        return AtRate(_require_positive("--rate", rate))
    return AtSpeed(1.0 if speed is None else _require_positive("--speed", speed))


def _require_positive(option: str, number: float) -> float:
    if not (math.isfinite(number) and number > 0):
        raise UsageError(f"{option}: must be a finite number above 0")
    return number


async def _replay(settings: Settings, options: ReplayOptions, *, as_json: bool) -> int:
    with publishing_progress(unit="") as advance:

        def on_progress(what: str, done: int, total: int | None) -> None:
            advance(what, done, done / total if total else None)

        summary = await replay(options, on_progress, **settings.client_options())
    typer.echo(summary.as_json() if as_json else summary.as_text())
    return 0 if summary.good else 1
