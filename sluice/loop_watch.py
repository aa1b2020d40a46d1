"""Watches the event loop: how long it stands still, and what was being done meanwhile.

While the loop stands still, no heartbeat leaves the node and ``/health`` gets no answer. It does so
when a callback takes long, when another thread keeps the interpreter to itself (a call in C that
doesn't let go of it), or when the process doesn't run at all. The loop notes a beat every
``BEAT_SECONDS`` and measures how late it is; a thread looks at the beats from outside and, where
one is missing, at the task and the line that the loop is in. The first of them also notes the
messages in hand: after a long call in C that may be either of them. Invariant: watching takes no
lock, and changes nothing.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import structlog

from consumer.exports.in_hand import InHand
from consumer.metrics import Metrics

log = structlog.get_logger(__name__)

BEAT_SECONDS = 0.05
STALL_SECONDS = 0.05
"""From here on it is counted; below, the loop was only busy."""
WARN_SECONDS = 0.25
_LOOK_SECONDS = 0.1
# From here on the thread warns, as the loop may never come back to do so.
_LASTING_SECONDS = 5.0
_QUIET_SECONDS = 1.0
_FRAMES = 6


@dataclass(slots=True)
class _Seen:
    """What was seen of one stall. ``task`` and ``at`` are the loop's own, innermost line first."""

    task: str | None = None
    at: str | None = None
    in_hand: list[dict[str, Any]] = field(default_factory=list)


class LoopWatch:
    """Watches the running loop, for the ``with`` block."""

    def __init__(self, in_hand: Iterable[InHand], metrics: Metrics) -> None:
        self._in_hand = in_hand
        self._metrics = metrics
        self._beat_at = 0.0
        self._beat_cpu_seconds = 0.0
        self._seen: _Seen | None = None
        self._warned_at = -_QUIET_SECONDS
        self._ended = False
        self._loop: asyncio.AbstractEventLoop
        self._loop_thread: int
        self._next: asyncio.TimerHandle

    def __enter__(self) -> Self:
        """Begin, on the loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._note_beat()
        threading.Thread(target=self._look_on, name="loop-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; the thread ends at its next look."""
        self._ended = True
        self._next.cancel()

    # On the loop.

    def _note_beat(self) -> None:
        self._beat_at = time.monotonic()
        self._beat_cpu_seconds = time.process_time()
        self._next = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        late_seconds = time.monotonic() - self._beat_at - BEAT_SECONDS
        if late_seconds >= STALL_SECONDS:
            self._stalled(late_seconds)
        self._seen = None
        self._note_beat()

    def _stalled(self, seconds: float) -> None:
        self._metrics.loop_stalled(seconds)
        now = time.monotonic()
        if seconds < WARN_SECONDS or now - self._warned_at < _QUIET_SECONDS:
            return
        self._warned_at = now
        # The thread has seen nothing where the interpreter was held; the loop's stack is gone by
        # now.
        seen = self._seen or self._look(of_loop=False)
        cpu_seconds = time.process_time() - self._beat_cpu_seconds
        self._warn("event loop stood still", seconds, seen, cpu_seconds=round(cpu_seconds, 3))

    # On the thread.

    def _look_on(self) -> None:
        warned_at = 0.0
        while not self._ended:
            time.sleep(_LOOK_SECONDS)  # cheaper than an event's wait
            beat_at = self._beat_at
            seconds = time.monotonic() - beat_at - BEAT_SECONDS
            if seconds < WARN_SECONDS:
                continue
            seen = self._seen
            if seen is None:
                seen = self._seen = self._look(of_loop=True)
            if seconds > _LASTING_SECONDS and warned_at != beat_at:
                warned_at = beat_at
                self._warn("event loop stands still", seconds, seen)

    def _look(self, *, of_loop: bool) -> _Seen:
        seen = _Seen(in_hand=[_named(hand) for hand in self._in_hand if _computes(hand)])
        if of_loop:
            task = asyncio.current_task(self._loop)
            seen.task = task.get_name() if task else None
            # Private, as the debuggers' own way is: there is no other to another thread's frame.
            seen.at = _where(sys._current_frames().get(self._loop_thread))  # noqa: SLF001
        return seen

    def _warn(self, event: str, seconds: float, seen: _Seen, **more: float) -> None:
        """``in_hand`` may hold innocent messages: those of other slots that worked meanwhile."""
        context = {"task": seen.task, "at": seen.at, "in_hand": seen.in_hand}
        log.warning(event, seconds=round(seconds, 3), **context, **more)


def _computes(hand: InHand) -> bool:
    return hand.message is not None and hand.storage_since is None


def _named(hand: InHand) -> dict[str, Any]:
    message = hand.message
    offsets = {"topic": message.topic, "offset": message.offset} if message else {}
    return {"partition": hand.partition, **offsets}


def _where(frame: FrameType | None) -> str:
    lines: list[str] = []
    while frame and len(lines) < _FRAMES:
        code = frame.f_code
        lines.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        frame = frame.f_back
    return " < ".join(lines)
