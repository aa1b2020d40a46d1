"""``sluice dead-letters list`` and ``requeue``: show dead letters and publish them again.

Invariant: both stop at the topic's end as of their start; a letter is one line whatever it
contains, and memory doesn't grow with their number.
"""

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

import orjson
import typer

from clients.topic_reader import TopicReader
from producer.dead_letters.records import DeadLetterRecord, Place, Selection, dead_letters, newest
from producer.dead_letters.requeue import Requeue
from schemas.times import format_time, from_millis
from schemas.vocabulary import DeadLetterReason
from sluice.errors import UsageError, UserError
from sluice.foreground import run
from sluice.given_times import period_given
from sluice.letters import letter_fields, parse_place, shown_place, target_of
from sluice.settings import Settings, load_settings

app = typer.Typer(help="Messages that belong to no export.", no_args_is_help=True)

_SHOWN_CHARACTERS = 80

Reasons: TypeAlias = Annotated[
    list[DeadLetterReason] | None,
    typer.Option("--reason", help="Only those with this reason; may be repeated."),
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Only from this time on: 2026-11-21T10:00:00Z."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Only those before this time.")
]
Last: TypeAlias = Annotated[
    int | None, typer.Option("--last", min=1, max=100_000, help="Only the newest so many of them.")
]


@app.callback()
def _dead_letters() -> None:
    """Messages that belong to no export."""


@app.command("list")
def run_list(
    *,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    last: Last = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with the whole key and value.")
    ] = False,
) -> int:
    """Print dead letters, one a line, by partition and offset, up to the end as of now."""
    choice = _choice(reason, since, until)
    return run(_list(load_settings(), choice, last, as_json=json))


@app.command("requeue")
def run_requeue(
    place: Annotated[
        list[str] | None,
        typer.Argument(help="PARTITION:OFFSET of a dead letter, as `list` prints it."),
    ] = None,
    *,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    last: Last = None,
    every: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be put back.")
    ] = False,
) -> int:
    """Put dead letters back on the topic and partition that they came from.

    Name them, or choose them by the filters of `list`, or --all. They stay on the dead-letters
    topic too, so to requeue one twice puts it back twice.
    """
    choice = _choice(reason, since, until, place)
    filtered = choice != Selection(places=choice.places) or last is not None
    if [bool(place), filtered, every].count(True) != 1:
        raise UsageError("give PARTITION:OFFSET, or filters, or --all: one of the three")
    return run(_requeue(load_settings(), choice, last, dry_run=dry_run))


def _choice(
    reasons: list[DeadLetterReason] | None,
    since: str | None,
    until: str | None,
    places: list[str] | None = None,
) -> Selection:
    since_ms, until_ms = period_given(since, until)
    return Selection(
        reasons=frozenset(reasons or ()),
        since=since_ms,
        until=until_ms,
        places=frozenset(map(_place, places)) if places else None,
    )


def _place(text: str) -> Place:
    try:
        return parse_place(text)
    except ValueError as error:
        raise UsageError(f"PLACE: {error}") from None


async def _list(settings: Settings, choice: Selection, last: int | None, *, as_json: bool) -> int:
    async with _opened(settings) as topic:
        async for letter in await _chosen(topic, choice, last):
            typer.echo(orjson.dumps(letter_fields(letter)) if as_json else _line(letter))
    return 0


async def _requeue(
    settings: Settings, choice: Selection, last: int | None, *, dry_run: bool
) -> int:
    done, refused, unseen = 0, 0, set(choice.places or ())
    options = settings.client_options()
    async with _opened(settings) as topic, Requeue(settings.topics, **options) as requeue:
        chosen = await _chosen(topic, choice, last)
        outcomes = _judged(requeue, chosen) if dry_run else requeue.republish(chosen)
        async for letter, objection in outcomes:
            unseen.discard(letter.place)
            done, refused = done + (objection is None), refused + (objection is not None)
            typer.echo(_outcome(letter, objection, dry_run=dry_run))
    for partition, offset in sorted(unseen):
        typer.echo(f"missing {partition}:{offset}: there is no such dead letter")
    typer.echo(f"{done} {'would be put' if dry_run else 'put'} back")
    if refused or unseen:
        raise UserError(
            f"{refused + len(unseen)} of {done + refused + len(unseen)} can't be put back"
        )
    return 0


def _opened(settings: Settings) -> TopicReader:
    return TopicReader(settings.topics.dead_letters, **settings.client_options())


async def _chosen(
    topic: TopicReader, choice: Selection, last: int | None
) -> AsyncIterator[DeadLetterRecord]:
    # Read twice: which letters are the newest is known only at the topic's end.
    return dead_letters(topic, choice if last is None else await newest(topic, choice, last))


async def _judged(
    requeue: Requeue, chosen: AsyncIterator[DeadLetterRecord]
) -> AsyncIterator[tuple[DeadLetterRecord, str | None]]:
    async for letter in chosen:
        yield letter, requeue.why_refused(letter)


def _outcome(letter: DeadLetterRecord, objection: str | None, *, dry_run: bool) -> str:
    place = shown_place(letter.place)
    if objection is not None:
        return f"refused {place}: {_escaped(objection)}"
    return f"{'would requeue' if dry_run else 'requeued'} {place} to {target_of(letter)}"


def _line(letter: DeadLetterRecord) -> str:
    """``0:42 orphan_batch export.records 3:17 2026-11-21T10:00:00.000Z key="…" 120 bytes: {…``."""
    source = letter.source
    origin = f"{source.topic} {source.partition}:{source.offset}" if source else "-"
    size = "null" if letter.value is None else f"{len(letter.value)} bytes"
    value = "" if letter.value is None else f": {_preview(letter.value)}"
    head = f"{shown_place(letter.place)} {_escaped(letter.reason or '-')} {_escaped(origin)}"
    time = format_time(from_millis(letter.timestamp))
    key = "null" if letter.key is None else f'"{_preview(letter.key)}"'
    cut = " truncated" if letter.truncated else ""
    return f"{head} {time} key={key} {size}{cut}{value}"


def _preview(content: bytes) -> str:
    # A character takes up to four bytes.
    beginning = content[: 4 * _SHOWN_CHARACTERS].decode(errors="backslashreplace")
    is_cut = len(content) > 4 * _SHOWN_CHARACTERS or len(beginning) > _SHOWN_CHARACTERS
    return _escaped(beginning[:_SHOWN_CHARACTERS]) + "…" * is_cut


def _escaped(text: str) -> str:
    """Text as one line that moves no cursor: unprintable characters are escaped as in Python."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
