"""``POST /export/{export_id}/link``, and downloads by the links that it makes.

Invariant: neither a link's signature nor a store's signed URL is in a log line or an error.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.errors import FieldError
from schemas.times import format_time
from sluice.access.askers import Asker
from sluice.http.audit import audit
from sluice.http.bodies import optional_json, unknown_fields
from sluice.http.download import download_by_link, find_completed, open_completed, sunset
from sluice.http.exports import Exports
from sluice.http.problems import Refusal, wrong_fields
from sluice.http.query_values import refuse_parameters
from sluice.links import (
    DEFAULT_LINK_SECONDS,
    MOST_LINK_SECONDS,
    LinkKeys,
    link_end,
    link_url,
    parse_moment,
)

_SECONDS = "expires_in_seconds"
_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Links:
    """The endpoints' dependencies. Without ``keys`` no links are made or accepted.

    Without ``public_url`` links use the address that the request came to.
    """

    exports: Exports
    keys: LinkKeys | None
    public_url: str | None
    idle_seconds: float


async def create(links: Links, request: Request, asker: Asker) -> Response:
    """Create a link to the file of a completed export that the asker may download."""
    if links.keys is None:
        raise Refusal(
            HTTPStatus.NOT_IMPLEMENTED,
            "links are not set up on this node: SLUICE_LINK_KEYS is not set",
        )
    refuse_parameters(request)
    seconds = _parse_seconds(await optional_json(request, links.idle_seconds))
    export_id: str = request.path_params["export_id"]
    event = await find_completed(links.exports, export_id, asker)
    await open_completed(links.exports, event)
    expires = link_end(time.time(), seconds, event.expires_at)
    if expires is None:
        raise Refusal(HTTPStatus.GONE, "the file has expired", headers=sunset(event))
    moment = format_time(datetime.fromtimestamp(expires, UTC))
    audit(request, asker, "link", export_id=export_id, expires_at=moment)
    answer = {
        "url": link_url(links.public_url or _address(request), links.keys, export_id, expires),
        "expires_at": moment,
    }
    return JSONResponse(answer, HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})


def with_links(links: Links, by_token: _Endpoint) -> _Endpoint:
    """An endpoint for downloads by link or, if the query has no link, by token."""

    async def fetch(request: Request) -> Response:
        if request.query_params.keys() & {"expires", "signature"}:
            return await download_by_link(links.exports, request, _verified_end(links, request))
        return await by_token(request)

    return fetch


def _verified_end(links: Links, request: Request) -> int:
    """The end of a request's link.

    Raises:
        Refusal: 403, it is wrong, or has ended.
    """
    export_id, query = request.path_params["export_id"], request.query_params
    given = [query.getlist(name) for name in ("expires", "signature")]
    expires = parse_moment(given[0][0]) if [*map(len, given)] == [1, 1] else None
    is_right = (
        links.keys is not None
        and expires is not None
        and links.keys.verify(export_id, expires, given[1][0])
    )
    if expires is None or not is_right:
        request.state.stranger = True
        raise Refusal(HTTPStatus.FORBIDDEN, "the link is wrong: its signature does not match")
    if time.time() >= expires:
        request.state.stranger = True
        raise Refusal(HTTPStatus.FORBIDDEN, "the link has expired")
    return expires


def _parse_seconds(given: Mapping[str, Any]) -> int:
    """The requested duration of the link.

    Raises:
        Refusal: 400, naming each wrong field.
    """
    errors = unknown_fields(given, (_SECONDS,))
    seconds = given.get(_SECONDS)
    if seconds is None:
        seconds = DEFAULT_LINK_SECONDS
    elif type(seconds) is not int or not 1 <= seconds <= MOST_LINK_SECONDS:
        words = f"must be a whole number from 1 to {MOST_LINK_SECONDS:,}"
        errors.append(FieldError(_SECONDS, words))
    if errors:
        raise wrong_fields(errors)
    return int(seconds)


def _address(request: Request) -> str:
    """The address at which this request reached the node: the connection's, not a header's."""
    host, port = request.scope["server"]
    return f"{request.scope['scheme']}://{f'[{host}]' if ':' in host else host}:{port}"
