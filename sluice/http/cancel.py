"""``DELETE /export/{export_id}``: ask for an export to be cancelled, whoever runs it."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from schemas.vocabulary import is_export_id
from sluice.http.auth import Asker
from sluice.http.describe import problems
from sluice.http.exports import Exports
from sluice.http.uploads import UploadGateway

router = APIRouter()


@router.delete("/export/{export_id}", status_code=202, responses=problems(401, 503))
async def cancel(export_id: str, request: Request, asker: Asker) -> Response:
    """Ask for an export to be cancelled. It may have ended before, or not be there at all.

    What is no id can't be there, so there is nothing to ask for. Nor is it for another user's
    export, and as nobody may tell that one from none, neither where there is none of the asker.
    """
    exports: Exports = request.app.state.exports
    uploads: UploadGateway = request.app.state.uploads
    if is_export_id(export_id) and (asker is None or await exports.belongs_to(export_id, asker)):
        await uploads.cancel(export_id)
    answer = {"export_id": export_id, "status_url": f"/export/status/{export_id}"}
    return JSONResponse(answer, HTTPStatus.ACCEPTED)
