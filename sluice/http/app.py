"""The HTTP interface of a node, composed: metrics, health, and what can be done with exports.

Every answer is made on the event loop, so no call here may block.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from consumer.metrics import Metrics
from sluice.http import cancel, documentation, download, run, status
from sluice.http.auth import BearerAuth
from sluice.http.bodies import BrokenOff, JsonBodies
from sluice.http.describe import METRICS, problems
from sluice.http.exports import Exports
from sluice.http.exposition import expose
from sluice.http.problems import Problem, answer_with_problems
from sluice.http.repeats import FirstRequests
from sluice.http.storage_calls import StorageCalls
from sluice.http.uploads import UploadGateway
from sluice.http.view import BacklogView, FinishedView, NodeView

# A probe that gets no answer tells an operator less than one that says so.
_READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class AppDependencies:
    """What the interface stands on."""

    node: NodeView
    backlog: BacklogView
    storage: FinishedView
    storage_calls: StorageCalls
    firsts: FirstRequests
    uploads: UploadGateway
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What it takes; see the settings of the same names. ``users_by_token``: empty for all."""

    queue_limit: int = 100
    max_body_bytes: int = 64 * 1024 * 1024
    idle_timeout_seconds: float = 300.0
    users_by_token: Mapping[str, str] = field(default_factory=dict, repr=False)


def build_app(deps: AppDependencies, limits: HttpLimits) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="Sluice",
        # Its own pages would load their scripts from elsewhere, and anyone could read the document.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    exports = Exports(
        deps.node,
        deps.backlog,
        deps.storage,
        deps.storage_calls,
        deps.firsts,
        limits.queue_limit,
    )
    bodies = JsonBodies(limits.max_body_bytes, limits.idle_timeout_seconds)
    app.state.auth = BearerAuth(limits.users_by_token)
    app.state.node = deps.node
    app.state.exports = exports
    app.state.uploads = deps.uploads
    app.state.deps = run.RunDependencies(exports, deps.uploads, bodies, limits.idle_timeout_seconds)
    answer_with_problems(app)
    app.add_exception_handler(BrokenOff, _gone)
    _add_metrics(app, deps.metrics)
    _add_health(app, deps.node)
    for part in (run, status, download, cancel, documentation):
        app.include_router(part.router)
    return app


async def _gone(_request: Request, _error: Exception) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "the body broke off")  # to whom it may concern


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", **METRICS)
    @app.get("/export/metrics", **METRICS)
    async def exposition(request: Request) -> Response:
        """The node's metrics, for Prometheus or as OpenMetrics."""
        text, content_type = expose(metrics.registry, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type, "Vary": "Accept"})


def _add_health(app: FastAPI, node: NodeView) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the node is alive."""
        return {"status": "alive"}

    @app.get("/ready", response_class=JSONResponse, responses=problems(503))
    async def ready() -> Response:
        """Whether the node can work; if not, why."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                found = await node.problems()
        except TimeoutError:
            found = [f"the node's checks take longer than {_READY_SECONDS:g} s"]
        if found:
            detail = "the node is not ready"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, ready=False, problems=found)
        return JSONResponse({"ready": True, "problems": []})
