"""``GET /``: the page for people. Its files are in ``browser/``; nothing of it is from elsewhere.

They need no token, because they contain no data. Invariant: a browser runs only these scripts and
loads only these styles on this page.
"""

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sluice.http.problems import Refusal
from sluice.http.ranges import names

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    # Nodes of other builds have different files under these names.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_INDEX = "index.html"


async def page(request: Request) -> Response:
    """The page for browsers; programs are redirected to the interface's description."""
    if "html" not in request.headers.get("accept", ""):
        return RedirectResponse("/docs", HTTPStatus.SEE_OTHER, headers={"Vary": "Accept"})
    return _answer(request, _INDEX)


async def page_file(request: Request) -> Response:
    """One of its files."""
    name: str = request.path_params["name"]
    if name == _INDEX or name not in _contents():
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is nothing at /page/{name[:128]}")
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    content, tag = _contents()[name]
    headers = {**_HEADERS, "ETag": tag}
    if name == _INDEX:
        headers["Vary"] = "Accept"
    # A proxy that compresses a file makes its tag a weak one.
    if names(", ".join(request.headers.getlist("if-none-match")), tag, strongly=False):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[name.rpartition(".")[2]])


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """The files by name, with their ETags: 60 KiB that are read once."""
    folder = files("sluice.http").joinpath("browser")
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return {
        name: (content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, content in contents.items()
    }
