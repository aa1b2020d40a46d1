"""A replay from start to end: survey, send, follow, summarise.

The messages are read twice and not held; scratch databases hold facts about exports. Invariant:
following begins before the first request is sent, so no terminal event is missed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from producer.completions import CompletionFeed
from producer.errors import ProducerError
from producer.publisher import ExportPublisher
from producer.replay.catalogue import export_catalogue
from producer.replay.following import Follower
from producer.replay.merge import ReplayMessage, messages_in_order
from producer.replay.pacing import ReplayPace, offered_rate
from producer.replay.results import CANCELLED, COMPLETED, ReplayResults, replay_results
from producer.replay.sending import ReplayPlan, Sender
from producer.replay.source import replay_source
from producer.replay.summary import Summary
from producer.replay.survey import LeftOut, Period, Survey
from producer.seed.scenarios import new_export_id
from schemas.topics import Topics

# These messages were accepted once; let the broker decide whether they are too large now.
_MOST_MESSAGE_BYTES = 2**30

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a step's name, how much of it is done, and how much there is, if known."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, and how. Times are in milliseconds since the epoch; ``until_ms`` excluded."""

    topics: Topics
    since_ms: int
    until_ms: int | None
    pace: ReplayPace
    copies: int
    timeout_seconds: float


async def replay(
    options: ReplayOptions,
    on_progress: OnProgress = lambda _what, _done, _total: None,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> Summary:
    """Publish the exports that were recorded before now again, and follow them to their ends.

    ``client_options`` are aiokafka's. If it is cancelled, half published exports are cancelled.

    Raises:
        ClientError: there is nothing to replay, or Kafka fails.
    """
    latest_ms = time.time_ns() // 1_000_000
    period = Period(options.since_ms, options.until_ms, latest_ms)
    async with replay_source(options.topics, **client_options) as source:
        with export_catalogue() as exports, replay_results() as sent:
            survey = Survey(
                source, period, exports, lambda n: on_progress("messages read", n, None)
            )
            left_out = await survey.run()
            _, whole = exports.counts()
            if not whole:
                raise ProducerError(f"no whole export to replay; left out: {left_out}")

            def on_end() -> None:
                on_progress("exports ended", sent.sent - sent.waiting, whole * options.copies)

            plan = ReplayPlan(
                options.topics,
                source.partitions,
                options.pace,
                options.copies,
                run=new_export_id("replay"),
                began_ms=exports.began_ms(),
            )
            messages = messages_in_order(source, exports, latest_ms)
            last_due_seconds = await _play(options, plan, messages, sent, on_end, client_options)
            return _summary(options, whole, sent, last_due_seconds, left_out)


async def _play(
    options: ReplayOptions,
    plan: ReplayPlan,
    messages: AsyncIterator[ReplayMessage],
    sent: ReplayResults,
    on_end: Callable[[], None],
    client_options: Mapping[str, Any],
) -> float:
    """Send and follow; return when the last request was due, in seconds."""
    async with (
        CompletionFeed(options.topics, **client_options) as feed,
        ExportPublisher(
            options.topics, max_message_bytes=_MOST_MESSAGE_BYTES, **client_options
        ) as publisher,
    ):
        sender, follower = Sender(plan, publisher, sent), Follower(feed, sent, on_end)
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await sender.send(messages)
                with suppress(TimeoutError):
                    async with asyncio.timeout(options.timeout_seconds):
                        await follower.all_ended()
                following.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # the only one: it cancelled the other task
        return sender.last_due_seconds


def _summary(
    options: ReplayOptions,
    recorded: int,
    sent: ReplayResults,
    last_due_seconds: float,
    left_out: LeftOut,
) -> Summary:
    failed, seconds = sent.outcomes(), sent.seconds()
    completed, cancelled = failed.pop(COMPLETED, 0), failed.pop(CANCELLED, 0)
    return Summary(
        recorded=recorded,
        copies=options.copies,
        sent=sent.sent,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        unfinished=sent.waiting,
        seconds=seconds,
        offered_per_second=offered_rate(sent.sent, options.copies, last_due_seconds),
        achieved_per_second=completed / seconds if seconds else 0.0,
        latency=sent.latencies(),
        lateness=sent.lateness(),
        left_out=left_out,
    )
