"""``GET /export/status``: this node's status, and an export's status on any node."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.completions import ExportCompleted, encode_event
from sluice.access.askers import Asker
from sluice.http.exports import Exports, no_such_export
from sluice.http.view import NodeView


async def node_status(node: NodeView, _request: Request, _asker: Asker) -> Response:
    """This node's status."""
    return JSONResponse(asdict(node.status()))


async def export_status(exports: Exports, request: Request, asker: Asker) -> Response:
    """An export's status, or how it ended."""
    export_id: str = request.path_params["export_id"]
    known = await exports.find(export_id, asker)
    if known is None:
        raise no_such_export(export_id)
    now = datetime.now(UTC)
    answer: dict[str, Any] = {
        "export_id": known.export_id,
        "state": known.state,
        "rows": known.rows,
        "bytes": known.bytes,
        "expired": isinstance(known.event, ExportCompleted) and known.event.expired(now),
        # The same bytes as the event in the completions topic.
        "event": orjson.Fragment(encode_event(known.event)) if known.event else None,
    }
    return Response(
        orjson.dumps(answer), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
