"""``GET /export``: a page of the exports that the asker may see, newest first.

Invariant: a user's list has only their own exports, whatever the query says.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consumer.core.listing import ExportState, ListedExport, Position, Wanted, newest, page
from schemas.errors import FieldError
from schemas.limits import MOST_NAME_CHARACTERS
from schemas.vocabulary import Format
from sluice.access.askers import Asker
from sluice.http.problems import wrong_fields
from sluice.http.query_values import count_of, one_of, values_of
from sluice.http.repeats import query_kafka
from sluice.http.view import BacklogView, HistoryView, NodeView

MOST_LISTED = 200
"""Exports per page: the maximum and the default."""
_AT_A_STRETCH = 2_000  # unfinished exports examined before yielding to other tasks


class Listing:
    """The exports of the group, as any of its nodes lists them."""

    def __init__(self, node: NodeView, backlog: BacklogView, history: HistoryView) -> None:
        self._node = node
        self._backlog = backlog
        self._history = history
        # Each request holds all unfinished exports, maybe a hundred thousand.
        self._one_page = asyncio.Lock()

    async def page(
        self, wanted: Wanted, limit: int, before: Position | None
    ) -> tuple[list[ListedExport], Position | None]:
        """A page, and the position of the next one.

        Raises:
            Refusal: 503, Kafka doesn't answer, or what ended is still being read.
        """
        async with self._one_page:
            # Unfinished first: an export that ends meanwhile is then in both, otherwise in neither.
            unfinished = await query_kafka(self._backlog.unfinished)
            ended = await query_kafka(self._history.ended)
            looked_at: list[ListedExport] = []
            for start in range(0, len(unfinished), _AT_A_STRETCH):
                part = unfinished[start : start + _AT_A_STRETCH]
                if wanted.state:  # which progress may change
                    part = [self._with_progress(one) for one in part]
                part = [*looked_at, *part]
                looked_at = newest(ended, part, wanted, limit, before)
                await asyncio.sleep(0)
        found, following = page(ended, looked_at, wanted, limit, before)
        return [self._with_progress(one) for one in found], following

    def _with_progress(self, one: ListedExport) -> ListedExport:
        if one.completed_at_ms is None and (progress := self._node.progress(one.export_id)):
            return one.with_progress(*progress)
        return one


async def exports(listing: Listing, request: Request, asker: Asker) -> Response:
    """The page that the query asks for."""
    wanted, limit, before = _read_query(request.query_params)
    if not asker.is_operator:
        if wanted.user not in {None, asker.user}:
            return _answer([], None)  # another user's, which must look like no export
        wanted = replace(wanted, user=asker.user)
    found, following = await listing.page(wanted, limit, before)
    return _answer(found, following)


def _answer(found: list[ListedExport], following: Position | None) -> Response:
    now_ms = int(time.time() * 1000)
    answer = {
        "exports": [one.fields(now_ms) for one in found],
        "next": following.encode() if following else None,
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _read_query(query: QueryParams) -> tuple[Wanted, int, Position | None]:
    """What the query wants.

    Raises:
        Refusal: 400, naming each wrong parameter.
    """
    given: dict[str, Any] = {}
    values, errors = values_of(query, _PARAMETERS)
    for name, text in values.items():
        try:
            given[name] = _PARAMETERS[name](text)
        except ValueError as error:
            errors.append(FieldError(name, str(error)))
    if errors:
        raise wrong_fields(errors)
    limit, before = given.pop("limit", MOST_LISTED), given.pop("before", None)
    return Wanted(text=given.pop("q", None), **given), limit, before


def _part(text: str) -> str:
    if len(text) > MOST_NAME_CHARACTERS:
        raise ValueError(f"must have at most {MOST_NAME_CHARACTERS:,} characters")
    return text


_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "state": one_of(*ExportState),
    "user": str,
    "format": one_of(*Format, "unknown"),
    "q": _part,
    "limit": count_of(MOST_LISTED),
    "before": Position.decode,
}
