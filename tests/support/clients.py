"""HTTP clients that start at once."""

from typing import Any

import httpx


def http_client(url: str | httpx.URL = "", **options: Any) -> httpx.AsyncClient:
    """A client of a server without TLS.

    To load the certificates for it would take 40 ms of a processor, more than most requests here.
    """
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=False, **options)  # noqa: S501
