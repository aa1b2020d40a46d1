"""``sluice retry``: run failed exports again, each under the id of its next attempt.

Invariant: each chosen export is one line, on standard output if it is being retried, else on
standard error.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated

import typer

from consumer.backlog.backlog import Backlog
from consumer.backlog.request_lookup import RequestLookup
from consumer.cluster import Cluster
from consumer.errors import BacklogUnavailable
from producer.completions import CompletionFeed
from producer.retry.attempts import (
    RETRIED,
    WRONG_INPUT,
    FindExport,
    KnownAttempt,
    Next,
    RetriedTooOftenError,
    next_attempt,
)
from producer.retry.ended import Choice, Ended, ended_exports
from producer.retry.retrying import Retried, Retry, run_again
from schemas.errors import shown
from schemas.vocabulary import is_export_id
from sluice.earlier_attempts import unfinished_at
from sluice.errors import UsageError, UserError
from sluice.foreground import run
from sluice.given_times import period_given
from sluice.no_node import no_node_noticed
from sluice.reports import publishing_progress, report_endings
from sluice.settings import Settings, load_settings

_BACKLOG_SECONDS = 60.0


def run_retry(
    export_id: Annotated[
        list[str] | None, typer.Argument(help="Exports that failed or were cancelled.")
    ] = None,
    *,
    reason: Annotated[
        list[str] | None,
        typer.Option(help=f"Only those that ended so: {', '.join(RETRIED)}; may be repeated."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only those that ended from this time on."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Only those that ended before it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run again.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the retries; fail unless all complete.")
    ] = False,
) -> int:
    """Run failed exports again, from the request and batches that Kafka still has.

    Each runs under an id of its own, ID-retry-N; none is made while one is under way or after one
    completed. Without EXPORT_ID: all that failed for the reasons and in the time given; cancelled
    ones by --reason cancelled alone. Fails if one that was chosen is left as it is.
    """
    choice = _choice(export_id, reason, since, until)
    return run(_retry(load_settings(), choice, dry_run=dry_run, wait=wait))


def _choice(
    export_ids: list[str] | None, reasons: list[str] | None, since: str | None, until: str | None
) -> Choice:
    if not (export_ids or reasons or since or until):
        raise UsageError("give EXPORT_ID, or --reason, --from or --to")
    for one in export_ids or ():
        if not is_export_id(one):
            raise UsageError(f"EXPORT_ID: {shown(one)} is no export id")
    for reason in reasons or ():
        if reason not in RETRIED:
            raise UsageError(f"--reason: {shown(reason)} is none of {', '.join(RETRIED)}")
    failures = [outcome for outcome in RETRIED if outcome != "cancelled"]
    outcomes = reasons or (RETRIED if export_ids else failures)
    since_ms, until_ms = period_given(since, until)
    chosen = frozenset(export_ids) if export_ids else None
    return Choice(chosen, frozenset(outcomes), since_ms, until_ms)


@dataclass(slots=True)
class _Plan:
    """The plan: ``retries`` by their new ids, each for the ``named`` exports.

    ``completed`` are retries that completed earlier; ``left`` has the reasons why others aren't
    retried.
    """

    retries: dict[str, Retry] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    completed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, one: Ended, following: Next) -> None:
        """Add a chosen export; two attempts at one original share the next one."""
        new_id = following.attempt.export_id
        self.named.setdefault(new_id, []).append(one.export_id)
        if following.is_completed:
            self.completed.append(new_id)
        elif new_id not in self.retries:
            self.retries[new_id] = Retry(
                one.export_id, one.source, following.attempt, following.begun_at
            )


async def _retry(settings: Settings, choice: Choice, *, dry_run: bool, wait: bool) -> int:
    async with AsyncExitStack() as stack:
        feed = CompletionFeed(settings.topics, **settings.client_options())
        if wait and not dry_run:  # first, so that no retry's end is missed
            await stack.enter_async_context(feed)
        plan = await _plan(settings, choice)
        retried = await _run_again(settings, plan, dry_run=dry_run)
        _print(plan, retried, dry_run=dry_run)
        code = 1 if plan.left or retried.left else 0
        if wait and not dry_run:
            under_way = {*retried.published, *retried.under_way}
            ids = [new_id for new_id, one in plan.retries.items() if one.export_id in under_way]
            async with no_node_noticed(settings):
                code = max(code, await report_endings(feed, dict.fromkeys(ids)))
        return code


async def _plan(settings: Settings, choice: Choice) -> _Plan:
    options, plan = settings.client_options(), _Plan()
    async with (
        Cluster(settings.topics, settings.group_id, options) as cluster,
        Backlog(cluster, options) as backlog,
        RequestLookup(options) as requests,
    ):
        await cluster.check_topics()
        try:
            # Unfinished first: an export that ends meanwhile is then in both, otherwise in neither.
            unfinished = await _unfinished(backlog)
            ended = await _ended(settings, choice)

            async def find(export_id: str) -> KnownAttempt | None:
                if one := ended.get(export_id):
                    return one.known
                if export_id not in unfinished:
                    return None
                if found := await backlog.find(export_id):
                    return await unfinished_at(requests, found.source)
                ended.update(await _ended(settings, choice))  # it has ended meanwhile
                return ended[export_id].known if export_id in ended else None

            for one in sorted(ended.values(), key=lambda one: one.ended_ms):
                if choice.holds(one):
                    await _add(plan, one, find)
        except BacklogUnavailable as error:
            raise UserError(f"the unfinished exports can't be read: {error}") from None
    for export_id in sorted(choice.export_ids or ()):
        if not (export_id in ended and choice.holds(ended[export_id])):
            plan.left[export_id] = _why_not(ended.get(export_id), export_id in unfinished)
    return plan


async def _unfinished(backlog: Backlog) -> set[str]:
    until = time.monotonic() + _BACKLOG_SECONDS
    while True:
        try:
            return {one.export_id for one in await backlog.unfinished()}
        except BacklogUnavailable:  # still reading, on a busy machine or from a long topic
            if time.monotonic() > until:
                raise


async def _ended(settings: Settings, choice: Choice) -> dict[str, Ended]:
    since_ms = None if choice.export_ids else choice.since_ms
    options = settings.client_options()
    return await ended_exports(settings.topics, choice.export_ids, since_ms, **options)


async def _add(plan: _Plan, one: Ended, find: FindExport) -> None:
    try:
        plan.add(one, await next_attempt(one.export_id, one.known.retry_of, find))
    except RetriedTooOftenError as error:
        plan.left[one.export_id] = str(error)


def _why_not(one: Ended | None, is_unfinished: bool) -> str:
    """Why a named export isn't retried."""
    if one is None:
        return "it has not ended" if is_unfinished else "Kafka has no terminal event of it"
    if one.known.outcome in {"completed", *WRONG_INPUT}:
        return f"it ended as {one.known.outcome}"
    return "it doesn't match --reason, --from and --to"


async def _run_again(settings: Settings, plan: _Plan, *, dry_run: bool) -> Retried:
    if not plan.retries:
        return Retried()
    with publishing_progress(unit="") as advance:
        try:
            return await run_again(
                list(plan.retries.values()),
                settings.topics,
                dry_run=dry_run,
                on_progress=lambda what, done: advance(what, done, None),
                **settings.client_options(),
            )
        except asyncio.CancelledError:
            typer.echo(
                "sluice: interrupted: some may be published in part; call it again, and it goes on",
                err=True,
            )
            raise


def _print(plan: _Plan, retried: Retried, *, dry_run: bool) -> None:
    words = dict.fromkeys(plan.completed, "completed before")
    for new_id, one in plan.retries.items():
        if left := retried.left.get(one.export_id):
            plan.left |= dict.fromkeys(plan.named.pop(new_id), left.why)
        elif one.export_id in retried.under_way:
            words[new_id] = "under way already"
    for new_id, export_ids in plan.named.items():
        verb = "would retry" if dry_run and new_id not in words else "retried"
        note = f" ({words[new_id]})" if new_id in words else ""
        for export_id in export_ids:
            typer.echo(f"{verb} {export_id} as {new_id}{note}")
    for export_id, why in plan.left.items():
        typer.echo(f"sluice: left {export_id}: {why}", err=True)
    if not (plan.named or plan.left):
        typer.echo("sluice: there is nothing to retry", err=True)
