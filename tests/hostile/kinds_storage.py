"""A storage that hangs: a FIFO in place of a manifest, whose open never returns, as NFS may."""

import asyncio
import os
import subprocess

import httpx

from tests.hostile.target import COMPLETED, Kind, Target
from tests.support.clients import http_client

_STATUS_REQUESTS = 7
_STOP_SECONDS = 15.0
_ANSWER_SECONDS = 5.0


async def _hung_status(target: Target) -> None:
    """Status requests that hang; what needs no storage is answered."""
    node = target.nodes[0].node
    ids = [_hang(target) for _ in range(_STATUS_REQUESTS)]
    async with http_client(node.url, timeout=60) as client:
        asking = [asyncio.create_task(_status(client, target, one)) for one in ids]
        await asyncio.sleep(1)
        await _post(client, target)
        await asyncio.sleep(5)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def _hung_request(target: Target) -> None:
    """A request whose manifest hangs holds its own partition up, and nothing else."""
    export_id = _hang(target)
    await target.requests([target.requested(export_id, COMPLETED)])
    target.wanted.clear()  # it can't end
    await asyncio.sleep(5)


async def _terminated(target: Target) -> None:
    """SIGTERM ends each node in order, whatever hangs in it."""
    loop = asyncio.get_running_loop()
    for watched in target.nodes:
        begun = loop.time()
        try:
            code = await asyncio.to_thread(watched.node.terminate, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        target.answers[f"exit {code} after SIGTERM"] += 1
        target.should(code == 0, f"SIGTERM: exit {code} after {loop.time() - begun:.1f} s")


def _hang(target: Target) -> str:
    export_id = target.new_id()
    os.mkfifo(target.bed.storage / f"{export_id}.manifest.json")
    return export_id


async def _status(client: httpx.AsyncClient, target: Target, export_id: str) -> None:
    answer = await client.get(f"/export/status/{export_id}")
    target.answers[f"status {answer.status_code}"] += 1


async def _post(client: httpx.AsyncClient, target: Target) -> None:
    body = {"format": "csv", "columns": ["a"], "data": [[1]]}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answer = await client.post("/export/run", json=body)
    seconds = loop.time() - begun
    target.answers[f"POST {answer.status_code}"] += 1
    target.should(answer.status_code == 202, f"a small POST got {answer.status_code}")
    target.should(seconds < _ANSWER_SECONDS, f"a small POST was answered after {seconds:.1f} s")


KINDS = (
    Kind("a manifest that hangs, queried over HTTP", _hung_status, short=True, after=_terminated),
    Kind(
        "a manifest that hangs, of a request",
        _hung_request,
        after=_terminated,
        leaves_partition=True,
    ),
)
