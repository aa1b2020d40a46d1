"""``GET /dead-letters`` and ``POST /dead-letters/requeue``: for operators, as the commands do.

A topic may hold any number of letters of any size. Invariant: responses are bounded, and letters
are counted before the first is requeued: a request for too many requeues none.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clients.errors import ClientError
from clients.topic_reader import TopicReader
from producer.dead_letters.records import (
    DeadLetterRecord,
    Place,
    Selection,
    dead_letters,
    newest,
)
from producer.dead_letters.requeue import Requeue
from schemas.errors import FieldError
from schemas.topics import Topics
from schemas.vocabulary import DeadLetterReason
from sluice.access.askers import Asker
from sluice.http.audit import audit
from sluice.http.bodies import JSON, small_json, unknown_fields
from sluice.http.problems import Refusal, unavailable, wrong_fields
from sluice.http.query_values import count_of, one_of, refuse_parameters, values_of
from sluice.letters import letter_fields, parse_millis, parse_place, shown_place, target_of

MOST_LISTED = 1_000
MOST_REQUEUED = 10_000
_LISTED = 200
_SHOWN_CHARACTERS = 4_000
_SHOWN_HEADERS = 20
_A_TIME = "an RFC 3339 time in UTC, such as 2026-11-21T10:00:00.000Z"
_READ_SECONDS = 30.0
_AT_ONCE = 500  # letters examined before yielding to other tasks


class LettersView(Protocol):
    """The dead-letters topic; see ``KafkaLetters``. Each method raises a ClientError."""

    async def places(self, choice: Selection, most: int) -> Collection[Place]:
        """The places of the newest chosen letters."""

    async def find_letters(self, choice: Selection, most: int) -> list[dict[str, Any]]:
        """The newest chosen letters as ``letter_fields``, by partition and offset."""

    def requeue(
        self, choice: Selection, *, dry_run: bool
    ) -> AsyncGenerator[tuple[DeadLetterRecord, str | None]]:
        """Requeue the chosen letters; yields each with None, or why it was refused."""


class KafkaLetters:
    """The dead-letters topic, read from its beginning for each request."""

    def __init__(self, topics: Topics, client_options: Mapping[str, Any]) -> None:
        self._topics = topics
        self._options = client_options
        # One at a time: each reads the whole topic.
        self._one_reading = asyncio.Lock()

    async def places(self, choice: Selection, most: int) -> Collection[Place]:
        """See ``LettersView.places``."""
        async with self._one_reading, self._opened() as topic:
            return (await newest(topic, choice, most)).places or ()

    async def find_letters(self, choice: Selection, most: int) -> list[dict[str, Any]]:
        """See ``LettersView.find_letters``."""
        async with self._one_reading, self._opened() as topic:
            chosen = await newest(topic, choice, most)
            return [_shown(letter) async for letter in _in_turns(dead_letters(topic, chosen))]

    async def requeue(
        self, choice: Selection, *, dry_run: bool
    ) -> AsyncGenerator[tuple[DeadLetterRecord, str | None]]:
        """See ``LettersView.requeue``."""
        async with (
            self._one_reading,
            self._opened() as topic,
            Requeue(self._topics, **self._options) as requeue,
        ):
            chosen = dead_letters(topic, choice)
            if not dry_run:
                async for outcome in requeue.republish(chosen):
                    yield outcome
                return
            async for letter in _in_turns(chosen):
                yield letter, requeue.why_refused(letter)

    def _opened(self) -> TopicReader:
        return TopicReader(self._topics.dead_letters, **self._options)


async def list_letters(letters: LettersView, request: Request, _asker: Asker) -> Response:
    """The newest dead letters that match the query, by partition and offset."""
    query = request.query_params
    values, errors = values_of(query, ("from", "to", "last"), lists=("reason",))
    given = {"reasons": query.getlist("reason"), "from": values.get("from"), "to": values.get("to")}
    choice, further = _read_choice(given, {"reasons": "reason"})
    last = _LISTED
    try:
        last = count_of(MOST_LISTED)(values.get("last", str(_LISTED)))
    except ValueError as error:
        further.append(FieldError("last", str(error)))
    if errors or further:
        raise wrong_fields([*errors, *further])
    try:
        async with asyncio.timeout(_READ_SECONDS):
            found = await letters.find_letters(choice, last)
    except ClientError as error:
        raise unavailable(str(error)) from None
    except TimeoutError:
        raise _too_many_to_read() from None
    content = orjson.dumps({"dead_letters": found})
    return Response(content, media_type=JSON, headers={"Cache-Control": "no-store"})


async def requeue_letters(
    letters: LettersView, idle_seconds: float, request: Request, asker: Asker
) -> Response:
    """Requeue the letters that the body chooses."""
    refuse_parameters(request)
    choice, last, dry_run = _read_body(await small_json(request, idle_seconds))
    try:
        async with asyncio.timeout(_READ_SECONDS):
            # One more than may be requeued, to notice when too many are chosen.
            left = set(await letters.places(choice, last or MOST_REQUEUED + 1))
    except ClientError as error:
        raise unavailable(str(error)) from None
    except TimeoutError:
        raise _too_many_to_read() from None
    if len(left) > MOST_REQUEUED:
        detail = f"more than {MOST_REQUEUED:,} are chosen: choose fewer, by from, to or last"
        raise Refusal(HTTPStatus.BAD_REQUEST, detail)
    missing = sorted(set(choice.places or ()) - left)
    outcomes: list[dict[str, str]] = []
    why = "it has been removed meanwhile"
    try:
        chosen = Selection(places=frozenset(left))
        async with aclosing(letters.requeue(chosen, dry_run=dry_run)) as found:
            async for letter, objection in found:
                left.discard(letter.place)
                outcomes.append(
                    _outcome(letter.place, target_of(letter), objection, dry_run=dry_run)
                )
    except ClientError as error:
        why = str(error)  # this and all later ones failed; earlier ones are requeued
    outcomes += [_outcome(place, "", why, dry_run=dry_run) for place in sorted(left)]
    outcomes += [{"place": shown_place(place), "outcome": "missing"} for place in missing]
    done = sum(one["outcome"] in {"requeued", "would requeue"} for one in outcomes)
    if not dry_run:
        audit(request, asker, "requeue", letters=done)
    answer = {"requeued": done, "refused": len(outcomes) - done, "letters": outcomes}
    return JSONResponse(answer)


def _read_body(given: Mapping[str, Any]) -> tuple[Selection, int | None, bool]:
    """What to requeue.

    Raises:
        Refusal: 400, naming each wrong field.
    """
    choice, errors = _read_choice(given, {})
    known = {"places", "reasons", "from", "to", "last", "all", "dry_run"}
    errors += unknown_fields(given, known)
    errors += [
        FieldError(name, "must be true or false")
        for name in ("all", "dry_run")
        if not isinstance(given.get(name, False), bool)
    ]
    last = given.get("last")
    # Not ``isinstance``: a bool is an int, too.
    if last is not None and not (type(last) is int and 1 <= last <= MOST_REQUEUED):
        errors.append(FieldError("last", f"must be a number from 1 to {MOST_REQUEUED:,}"))
    if errors:
        raise wrong_fields(errors)
    filtered = any(given.get(name) for name in ("reasons", "from", "to", "last"))
    if [bool(choice.places), filtered, given.get("all", False)].count(True) != 1:
        text = "give places, or filters (reasons, from, to, last), or all: one of the three"
        raise wrong_fields([FieldError("", text)])
    return choice, last, given.get("dry_run", False)


def _read_choice(
    given: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[Selection, list[FieldError]]:
    """Parse the choice of letters; ``names`` maps field names that differ."""
    errors: list[FieldError] = []

    def read(name: str, texts: object, parse: Any) -> list[Any]:  # noqa: ANN401 - of its result
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            errors.append(FieldError(names.get(name, name), "must be texts in an array"))
            return []
        # Before they are parsed: this is the event loop.
        if len(texts) > MOST_REQUEUED:
            errors.append(FieldError(names.get(name, name), f"names more than {MOST_REQUEUED:,}"))
            return []
        try:
            return [parse(text) for text in texts]
        except ValueError as error:
            errors.append(FieldError(names.get(name, name), str(error)))
            return []

    def given_list(name: str) -> object:
        return [] if given.get(name) is None else given[name]

    reasons = read("reasons", given_list("reasons"), _reason)
    places = read("places", given_list("places"), parse_place)
    times: dict[str, int | None] = {}
    for name in ("from", "to"):
        time, times[name] = given.get(name), None
        if isinstance(time, str):
            times[name] = next(iter(read(name, [time], parse_millis)), None)
        elif time is not None:
            errors.append(FieldError(name, f"must be a text: {_A_TIME}"))
    choice = Selection(
        frozenset(reasons), times["from"], times["to"], frozenset(places) if places else None
    )
    return choice, errors


_check_reason = one_of(*DeadLetterReason)


def _reason(text: str) -> DeadLetterReason:
    return DeadLetterReason(_check_reason(text))


def _shown(letter: DeadLetterRecord) -> dict[str, Any]:
    fields = letter_fields(letter, _SHOWN_CHARACTERS)
    return {**fields, "headers": fields["headers"][:_SHOWN_HEADERS]}


def _outcome(place: Place, target: str, objection: str | None, *, dry_run: bool) -> dict[str, str]:
    shown = shown_place(place)
    if objection is not None:
        return {"place": shown, "outcome": "refused", "why": objection[:_SHOWN_CHARACTERS]}
    return {"place": shown, "outcome": "would requeue" if dry_run else "requeued", "to": target}


def _too_many_to_read() -> Refusal:
    return unavailable(
        f"the dead letters can't be read within {_READ_SECONDS:g} s: choose by from, or use"
        " `sluice dead-letters`"
    )


async def _in_turns(found: AsyncIterator[DeadLetterRecord]) -> AsyncIterator[DeadLetterRecord]:
    count = 0
    async for letter in found:
        yield letter
        count += 1
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
