"""``sluice check``: fetch a node's metrics and assert that they look healthy.

The assertions are in ``sluice.metric_assertions``. Invariant: the time and the bytes read are
bounded.
"""

import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import Annotated
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit, urlunsplit

import typer

from sluice.errors import UsageError, UserError
from sluice.metric_assertions import assess, read_scrape
from sluice.settings import Settings, load_settings

_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


def run_check(
    url: Annotated[
        str | None,
        typer.Argument(help="The node, or its metrics. Default: the node of the settings."),
    ] = None,
) -> int:
    """Make six assertions on a node's metrics, a line each; exit 1 unless all hold."""
    settings = load_settings()
    address = _metrics_url(url or _own_url(settings))
    try:
        findings = assess(read_scrape(_fetch(address)))
    except ValueError as error:
        raise UserError(f"{address} answers with something that is no metrics: {error}") from None
    for finding in findings:
        typer.echo(finding)
    failed = sum(not finding.holds for finding in findings)
    if failed:
        raise UserError(f"{failed} of {len(findings)} assertions fail on {address}")
    return 0


def _own_url(settings: Settings) -> str:
    if settings.node_url is None:
        raise UsageError("give the node's URL: SLUICE_HTTP_PORT is 0, so it may be on any port")
    return settings.node_url


def _metrics_url(given: str) -> str:
    """The URL with ``/metrics`` appended, and ``http`` if it has no scheme.

    Raises:
        UsageError: it is no URL of a node.
    """
    try:
        url = urlsplit(given if "://" in given else f"http://{given}")
        valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        given.encode("ascii")
    except ValueError:
        valid = False
    if not valid or any(char.isspace() or not char.isprintable() for char in given):
        raise UsageError(f"URL: {given[:80]!r} is not of the form http://host:port")
    path = url.path.rstrip("/")
    path = path if path.endswith("/metrics") else f"{path}/metrics"
    return urlunsplit(SplitResult(url.scheme, url.netloc, path, url.query, ""))


def _fetch(url: str) -> str:
    """The text at a URL.

    Raises:
        UserError: it can't be fetched.
        ValueError: it is no text.
    """
    request = urllib.request.Request(  # noqa: S310 - of a scheme that was checked
        url, headers={"Accept": "text/plain; version=0.0.4"}
    )
    # Call nodes directly: proxies of the environment are for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return b"".join(_chunks(response)).decode()
    except HTTPError as error:
        error.close()
        raise UserError(f"{url} answers {error.code} {error.reason}") from None
    except URLError as error:
        reason = error.reason
        words = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
        raise UserError(f"{url} can't be reached: {words}") from None
    except (OSError, HTTPException) as error:
        raise UserError(f"{url} can't be read: {error or type(error).__name__}") from None


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    # A deadline for the whole response: urllib's timeout applies to each read.
    deadline, left = time.monotonic() + _TIMEOUT_SECONDS, _MOST_BYTES
    while chunk := response.read1(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise UserError(f"{response.url} answers with more than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise UserError(f"{response.url} takes more than {_TIMEOUT_SECONDS:g} s to answer")
        yield chunk
