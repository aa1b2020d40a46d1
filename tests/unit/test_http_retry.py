"""``POST /export/{export_id}/retry``: who may, what is refused, and that two make one."""

import asyncio

import httpx
import pytest

from producer.retry.retrying import Left, Missing
from schemas.vocabulary import FailReason
from sluice.links import LinkKeys
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem


async def retried(client: httpx.AsyncClient, export_id: str) -> str:
    answer = await client.post(f"/export/{export_id}/retry")
    assert answer.status_code == 202, answer.text
    new_id: str = answer.json()["export_id"]
    assert answer.json() == {
        "export_id": new_id,
        "status_url": f"/export/status/{new_id}",
        "download_url": f"/export/download/{new_id}",
    }
    return new_id


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_what_has_no_file_runs_again(
    client: httpx.AsyncClient, world: World, state: str
) -> None:
    world.request("e-1")
    world.failures["e-1"] = FailReason.STORAGE_UNAVAILABLE
    world.end("e-1", state)
    assert await retried(client, "e-1") == "e-1-retry-1"
    (one,) = world.retries
    assert (one.export_id, one.source) == ("e-1", world.source("e-1"))
    assert one.attempt == ("e-1", 1)
    assert one.begun_at is None


async def test_two_clicks_make_one_and_a_third_completes_it(
    client: httpx.AsyncClient, world: World
) -> None:
    world.request("e-1")
    world.end("e-1", "cancelled")
    ids = await asyncio.gather(*(retried(client, "e-1") for _ in range(5)))
    assert set(ids) == {"e-1-retry-1"}
    assert [one.export_id for one in world.requested()] == ["e-1", "e-1-retry-1"]
    begun = [one.begun_at for one in world.retries]
    assert begun == [None, *[world.source("e-1-retry-1")] * 4], "it may have broken off"
    world.end("e-1-retry-1")
    assert await retried(client, "e-1") == "e-1-retry-1"
    assert len(world.retries) == 5, "it has completed"


async def test_a_retry_that_failed_counts_on(client: httpx.AsyncClient, world: World) -> None:
    world.request("e-1")
    world.end("e-1", "cancelled")
    assert await retried(client, "e-1") == "e-1-retry-1"
    world.end("e-1-retry-1", "cancelled")
    assert await retried(client, "e-1-retry-1") == "e-1-retry-2"
    assert await retried(client, "e-1") == "e-1-retry-2"


async def test_what_can_t_run_again_is_refused(client: httpx.AsyncClient, world: World) -> None:
    assert_problem(await client.post("/export/nobody/retry"), 404)
    assert_problem(await client.post("/export/%2e%2e/retry"), 404)
    for name in ("open", "done", "wrong", "half", "old"):
        world.request(name)
    world.end("done")
    world.failures["wrong"] = FailReason.INVALID_BATCH
    world.end("wrong", "failed")
    world.end("half", "cancelled")
    world.end("old", "cancelled")
    world.incomplete = {
        "half": Left(Missing.NEVER_WHOLE, "batch 1 is missing"),
        "old": Left(Missing.GONE, "Kafka no longer has its batches"),
    }
    for name in ("open", "done", "wrong"):
        assert_problem(await client.post(f"/export/{name}/retry"), 409)
    assert not world.retries
    found = assert_problem(await client.post("/export/half/retry"), 409)
    assert "batch 1" in found["detail"]
    assert_problem(await client.post("/export/old/retry"), 410)
    assert [one.export_id for one in world.requested()][5:] == []


@pytest.mark.parametrize("path", ["retry", "link"])
async def test_what_it_doesn_t_know_is_refused_and_nothing_done(world: World, path: str) -> None:
    keys = LinkKeys(["k" * 32])
    async with serving_world(world, link_keys=keys) as client:
        world.request("e-1")
        world.end("e-1", "cancelled" if path == "retry" else "completed")
        url = f"/export/e-1/{path}"
        problem = assert_problem(await client.post(f"{url}?wait=3&wait=4"), 400)
        (error,) = problem["errors"]
        assert error == {"field": "wait", "message": "is not a parameter of this request"}
        problem = assert_problem(await client.post(url, json={"format": "pdf"}), 400)
        (error,) = problem["errors"]
        assert error == {"field": "format", "message": "is not a field of this request"}
        assert_problem(await client.post(url, json=[]), 400)
        assert_problem(await client.post(url, content=b"format=pdf"), 415)
        assert_problem(await client.post(url, json={"format": "p" * 5_000}), 413)
        assert not world.retries
        assert (await client.post(url, json={})).status_code in {201, 202}


async def test_the_queue_has_a_limit(world: World) -> None:
    async with serving_world(world, queue_limit=1) as client:
        world.request("e-1")
        world.end("e-1", "cancelled")
        world.request("e-2")
        assert_problem(await client.post("/export/e-1/retry"), 429)
        assert not world.retries


async def test_without_kafka_it_is_unavailable(client: httpx.AsyncClient, world: World) -> None:
    world.request("e-1")
    world.end("e-1", "cancelled")
    world.is_down = True
    assert_problem(await client.post("/export/e-1/retry"), 503)


async def test_another_user_s_export_looks_like_none(world: World) -> None:
    async with serving_world(world, users_by_token={"a": "alice", "b": "bob"}) as client:
        world.request("e-1", user="alice")
        world.end("e-1", "cancelled")
        bobs = await client.post("/export/e-1/retry", headers={"Authorization": "Bearer b"})
        none = await client.post("/export/e-2/retry", headers={"Authorization": "Bearer b"})
        assert (bobs.status_code, none.status_code) == (404, 404)
        alices = await client.post("/export/e-1/retry", headers={"Authorization": "Bearer a"})
        assert alices.status_code == 202
        (_, retry) = world.requested()
        assert (retry.user, retry.retry_of) == ("alice", "e-1")
