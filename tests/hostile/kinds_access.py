"""Tokens that are nobody's, by the thousand, at a node that asks an issuer for its keys."""

import asyncio
import itertools
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import httpx

from acceptance.sampling import peak_bytes
from clients.topics import create_topics
from schemas.topics import Topics
from tests.hostile.bed import PARTITIONS
from tests.hostile.bounds import MIB, PEAK_BYTES
from tests.hostile.kinds_http import noted
from tests.hostile.raw_http import exchanged
from tests.hostile.target import Kind, Target
from tests.support.clients import http_client
from tests.support.issuer import AUDIENCE, TestIssuer, running_issuer
from tests.support.nodes import NodeProcess, node_on

_AT_ONCE = 400
"""Most of a node's connections, and four times as many as may wait for keys."""
_EACH = 2_000
_REFUSED = frozenset({"401", "431", "503", "closed", "refused"})
_UNSERVED_SECONDS = 10.0
_FETCH_SECONDS = 2.0


async def _tokens(target: Target) -> None:
    """Of keys that nobody knows, of wrong signatures, as large as a head, and of no sense."""
    topics = Topics.named(f"{target.bed.topics.requests}-{target.prefix}"[:200])
    place = target.bed.storage.parent / target.prefix
    place.mkdir()
    await create_topics(topics, PARTITIONS, 1, bootstrap_servers=target.bed.servers)
    settings = {"OIDC_AUDIENCE": AUDIENCE}
    with running_issuer() as provider:
        provider.rotate("k-1", "RS256")
        url = provider.url
        async with node_on(target.bed.servers, topics, place, OIDC_ISSUER=url, **settings) as node:
            await _flood(target, provider, node)
            peak = peak_bytes(node.pid)
            target.should(peak <= PEAK_BYTES, f"peak memory {peak / MIB:,.0f} MiB")


async def _flood(target: Target, provider: TestIssuer, node: NodeProcess) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    fetches, begun = provider.fetches, loop.time()
    good = asyncio.create_task(_served(node.url, provider.token(), done))
    left = iter(_heads(provider))

    async def client() -> None:
        for head in left:
            noted(target, await exchanged(node.url, [head]), _REFUSED)

    await asyncio.gather(*(client() for _ in range(_AT_ONCE)))
    done.set()
    longest = await good
    is_served = target.crowded or longest <= _UNSERVED_SECONDS
    target.should(is_served, f"a good token waited for {longest:.1f} s")
    fetched, most = provider.fetches - fetches, 2 + (loop.time() - begun) / _FETCH_SECONDS
    target.should(fetched <= most, f"the keys were fetched {fetched} times")


async def _served(url: str, token: str, done: asyncio.Event) -> float:
    """The longest time without a 200 for a right token, in seconds."""
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()
    async with http_client(url, timeout=60) as client:
        while not done.is_set():
            try:
                answer = await client.get(
                    "/export/status", headers={"Authorization": f"Bearer {token}"}
                )
            except httpx.TransportError:
                continue  # closed to make room, as any idle connection may be
            if answer.status_code == httpx.codes.OK:
                longest, last = max(longest, loop.time() - last), loop.time()
            await asyncio.sleep(0.05)
    return max(longest, loop.time() - last)


def _heads(provider: TestIssuer) -> Iterator[bytes]:
    """Requests, each with a token of its own."""
    claims, key_id = json.dumps(provider.claims()).encode(), next(iter(provider.keys))
    for token in itertools.chain(
        (_token({"alg": "RS256", "kid": f"no-{n}"}, claims) for n in range(_EACH)),
        (_token({"alg": "RS256", "kid": key_id}, claims) for _ in range(_EACH)),
        (_token({"alg": "RS256", "kid": key_id}, b"[" * 5_500) for _ in range(_EACH)),
        (_token({"alg": "RS256", "kid": key_id}, os.urandom(44_000)) for _ in range(_EACH // 10)),
    ):
        line = b"GET /export/status HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
        yield line + token + b"\r\n\r\n"


def _token(header: dict[str, str], payload: bytes) -> bytes:
    parts = (json.dumps(header).encode(), payload, os.urandom(256))
    return b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)


KINDS = (Kind("6,200 tokens that are nobody's", _tokens),)
