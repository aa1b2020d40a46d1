"""``/openapi.json`` and ``/docs``: the interface described, for programs and for people.

The document is the file ``openapi.json`` beside this module; ``docs_page`` makes the page from it.
Invariant: the page needs no token and contains no data; the requests it sends do need one.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sluice.access.askers import Asker
from sluice.http.docs_page import docs_page

_FILES = files("sluice.http")


async def openapi(_request: Request, _asker: Asker) -> Response:
    """The document."""
    return Response(orjson.dumps(_document()), media_type="application/json")


async def docs(asks_for_token: bool, _request: Request) -> Response:
    """The page; if tokens are used, it has a field for one."""
    return HTMLResponse(_page(asks_for_token), headers={"Content-Security-Policy": _policy()})


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(_FILES.joinpath("openapi.json").read_bytes())
    return document


@cache
def _page(asks_for_token: bool) -> str:
    return docs_page(_document(), _script(), asks_for_token=asks_for_token)


@cache
def _script() -> str:
    return _FILES.joinpath("docs.js").read_text("utf-8")


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
