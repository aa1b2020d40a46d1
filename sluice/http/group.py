"""``GET /group``, for operators: the group's nodes, and all partitions with their lag and owner."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sluice.access.askers import Asker
from sluice.http.query_values import refuse_parameters
from sluice.http.repeats import query_kafka
from sluice.http.view import GroupView


async def overview(group: GroupView, request: Request, _asker: Asker) -> Response:
    """The group, as any of its nodes reads it from Kafka."""
    refuse_parameters(request)
    found = await query_kafka(group.overview)
    return JSONResponse(asdict(found), headers={"Cache-Control": "no-store"})
