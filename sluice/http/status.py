"""``GET /export/status``: what this node does, and how an export is doing, whoever runs it."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from schemas.completions import TerminalEvent, encode_event
from sluice.http.auth import Asker
from sluice.http.describe import problems
from sluice.http.exports import Exports, State, no_such_export
from sluice.http.view import NodeStatus, NodeView

router = APIRouter()


@dataclass(frozen=True, slots=True)
class ExportStatus:
    """The answer of ``GET /export/status/{export_id}``; as ``Known``, with the whole event."""

    export_id: str
    state: State
    rows: int | None
    bytes: int | None
    event: TerminalEvent | None


@router.get("/export/status", responses=problems(401))
async def node_status(request: Request, _asker: Asker) -> NodeStatus:
    """What this node is doing."""
    node: NodeView = request.app.state.node
    return node.status()


@router.get(
    "/export/status/{export_id}", response_model=ExportStatus, responses=problems(401, 404, 503)
)
async def export_status(export_id: str, request: Request, asker: Asker) -> Response:
    """How an export is doing, or how it ended."""
    exports: Exports = request.app.state.exports
    known = await exports.find(export_id, asker)
    if known is None:
        raise no_such_export(export_id)
    answer: dict[str, Any] = {
        "export_id": known.export_id,
        "state": known.state,
        "rows": known.rows,
        "bytes": known.bytes,
        # As it lies in the topic.
        "event": orjson.Fragment(encode_event(known.event)) if known.event else None,
    }
    return Response(
        orjson.dumps(answer), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
