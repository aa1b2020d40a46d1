"""``DELETE /export/{export_id}``: cancel an export, whichever node runs it."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.vocabulary import is_export_id
from sluice.access.askers import Asker
from sluice.http.audit import audit
from sluice.http.exports import Exports
from sluice.http.uploads import UploadGateway


async def cancel(
    exports: Exports, uploads: UploadGateway, request: Request, asker: Asker
) -> Response:
    """Publish a cancellation, unless the id is malformed or the user has no such export.

    The answer is always the same: 404 would tell another user's export from one that doesn't exist.
    """
    export_id: str = request.path_params["export_id"]
    if is_export_id(export_id) and (
        asker.is_operator or await exports.may_act_on(export_id, asker)
    ):
        await uploads.cancel(export_id)
        audit(request, asker, "cancel", export_id=export_id)
    answer = {"export_id": export_id, "status_url": f"/export/status/{export_id}"}
    return JSONResponse(answer, HTTPStatus.ACCEPTED)
