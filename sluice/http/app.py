"""Composes a node's HTTP interface: every route, and its endpoint's dependencies.

Endpoints are functions that take their dependencies as arguments. ``openapi.json`` describes them,
and a test compares the two. Invariant: endpoints run on the event loop, so none may block.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumer.metrics import Metrics
from sluice.access.gate import AccessGate
from sluice.http import (
    cancel,
    dead_letters,
    documentation,
    download,
    events,
    group,
    links,
    listing,
    page,
    run,
    status,
)
from sluice.http.admission import Admission
from sluice.http.auth import BearerAuth
from sluice.http.bodies import BrokenOff, JsonBodies
from sluice.http.connections import EVENTS_PATH
from sluice.http.exports import Exports
from sluice.http.exposition import expose
from sluice.http.live import LiveExports
from sluice.http.problems import EXCEPTION_HANDLERS, Problem
from sluice.http.repeats import FirstRequests
from sluice.http.retry import Retries, RetryDependencies, RunAgain, retry
from sluice.http.storage_calls import StorageCalls
from sluice.http.uploads import UploadGateway
from sluice.http.view import (
    BacklogView,
    FinishedView,
    GroupView,
    HistoryView,
    NodeView,
    RequestsView,
)
from sluice.links import LinkKeys

# A timed-out probe tells an operator less than a response with the reason.
_READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class AppDependencies:
    """The dependencies of the interface."""

    node: NodeView
    backlog: BacklogView
    history: HistoryView
    live: LiveExports
    storage: FinishedView
    storage_calls: StorageCalls
    firsts: FirstRequests
    uploads: UploadGateway
    metrics: Metrics
    gate: AccessGate
    letters: dead_letters.LettersView
    group: GroupView
    requests: RequestsView
    run_again: RunAgain


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The settings with the same names."""

    queue_limit: int = 100
    user_queue_limit: int | None = None
    max_body_bytes: int = 64 * 1024 * 1024
    idle_timeout_seconds: float = 300.0
    link_keys: LinkKeys | None = None
    public_url: str | None = None


class _Route(Route):
    """A route of exactly one method: Starlette answers HEAD wherever there is a GET."""

    def __init__(self, method: str, path: str, endpoint: Any) -> None:  # noqa: ANN401 - Starlette's
        super().__init__(path, endpoint, methods=[method])
        self.methods = {method}


def build_app(deps: AppDependencies, limits: HttpLimits) -> Starlette:
    """The application."""
    app = Starlette(
        routes=_routes(deps, limits),
        exception_handlers={**EXCEPTION_HANDLERS, BrokenOff: _client_gone},
    )
    app.router.redirect_slashes = False
    return app


def _routes(deps: AppDependencies, limits: HttpLimits) -> list[Route]:
    node, idle_seconds = deps.node, limits.idle_timeout_seconds
    admission = Admission(deps.backlog, limits.queue_limit, limits.user_queue_limit)
    exports = Exports(node, deps.backlog, deps.storage, deps.storage_calls, deps.firsts, admission)
    bodies = JsonBodies(limits.max_body_bytes, idle_seconds)
    run_deps = run.RunDependencies(exports, deps.uploads, bodies, idle_seconds)
    metrics = partial(_expose_metrics, deps.metrics.registry)
    shown = listing.Listing(node, deps.backlog, deps.history)
    retries = Retries(RetryDependencies(exports, deps.requests, deps.run_again))
    auth = BearerAuth(deps.gate)
    guard, operators = auth.guard, partial(auth.guard, operators_only=True)
    letters = deps.letters
    linking = links.Links(exports, limits.link_keys, limits.public_url, idle_seconds)
    fetch_file = links.with_links(linking, guard(partial(download.download, exports)))
    return [
        _Route("GET", "/export/metrics", metrics),
        _Route("GET", "/metrics", metrics),
        _Route("GET", "/health", _health),
        _Route("GET", "/ready", partial(_check_ready, node)),
        _Route("POST", "/export/run", guard(partial(run.run, run_deps))),
        _Route("GET", "/export", guard(partial(listing.exports, shown))),
        _Route("GET", EVENTS_PATH, guard(partial(events.events, deps.live, auth.asker_of))),
        _Route("GET", "/export/status", guard(partial(status.node_status, node))),
        _Route("GET", "/export/status/{export_id}", guard(partial(status.export_status, exports))),
        _Route("GET", "/export/download/{export_id}", fetch_file),
        _Route("HEAD", "/export/download/{export_id}", fetch_file),
        _Route("POST", "/export/{export_id}/link", guard(partial(links.create, linking))),
        _Route(
            "DELETE", "/export/{export_id}", guard(partial(cancel.cancel, exports, deps.uploads))
        ),
        _Route("POST", "/export/{export_id}/retry", guard(partial(retry, retries, idle_seconds))),
        _Route("GET", "/group", operators(partial(group.overview, deps.group))),
        _Route("GET", "/dead-letters", operators(partial(dead_letters.list_letters, letters))),
        _Route(
            "POST",
            "/dead-letters/requeue",
            operators(partial(dead_letters.requeue_letters, letters, idle_seconds)),
        ),
        _Route("GET", "/openapi.json", guard(documentation.openapi)),
        _Route("GET", "/docs", partial(documentation.docs, not deps.gate.is_open)),
        _Route("GET", "/", page.page),
        _Route("GET", "/page/{name}", page.page_file),
    ]


async def _client_gone(_request: Request, _error: Exception) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "the body broke off")  # for the log: no client reads it


async def _expose_metrics(registry: CollectorRegistry, request: Request) -> Response:
    text, content_type = expose(registry, request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type, "Vary": "Accept"})


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _check_ready(node: NodeView, _request: Request) -> Response:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            found = await node.problems()
    except TimeoutError:
        found = [f"the node's checks take longer than {_READY_SECONDS:g} s"]
    if found:
        detail = "the node is not ready"
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, ready=False, problems=found)
    return JSONResponse({"ready": True, "problems": [], "encoders": node.encoders})
