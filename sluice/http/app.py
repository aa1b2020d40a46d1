"""The HTTP interface of a node, its first part: metrics, health and status.

Every answer is made on the event loop, so no call here may block.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from consumer.metrics import Metrics
from sluice.http.auth import BearerAuth
from sluice.http.exposition import expose
from sluice.http.problems import Problem, answer_with_problems
from sluice.http.view import NodeStatus, NodeView

# A probe that gets no answer tells an operator less than one that says so.
_READY_SECONDS = 10.0


def build_app(
    node: NodeView, metrics: Metrics, users_by_token: Mapping[str, str] | None = None
) -> FastAPI:
    """The application. With ``users_by_token``, status asks for one of these bearer tokens."""
    app = FastAPI(
        title="Sluice",
        # The pages would load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_with_problems(app)
    _add_metrics(app, metrics)
    _add_health(app, node)

    @app.get("/export/status", dependencies=[Depends(BearerAuth(users_by_token or {}))])
    async def status() -> NodeStatus:
        return node.status()

    return app


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", include_in_schema=False)
    @app.get("/export/metrics", response_class=Response)
    async def exposition(request: Request) -> Response:
        text, content_type = expose(metrics.registry, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type, "Vary": "Accept"})


def _add_health(app: FastAPI, node: NodeView) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready", response_class=JSONResponse)
    async def ready() -> Response:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                problems = await node.problems()
        except TimeoutError:
            problems = [f"the node's checks take longer than {_READY_SECONDS:g} s"]
        if problems:
            detail = "the node is not ready"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, ready=False, problems=problems)
        return JSONResponse({"ready": True, "problems": []})
