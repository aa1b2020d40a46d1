"""``POST /export/run`` while Kafka is away, and uploads that don't end well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from consumer.core.backlog import UnfinishedRequest
from consumer.errors import BacklogUnavailable, StorageUnavailable
from sluice.http import broken, uploads
from tests.support.http import World, serving_world
from tests.support.http_run import (
    GOOD,
    raw_connection,
    raw_upload,
    run,
    run_until,
    upload,
)
from tests.support.serving import assert_problem
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quiet_soon")


# Kafka is away


async def test_without_kafka_it_is_unavailable(client: httpx.AsyncClient, world: World) -> None:
    world.is_down = True
    for answer in (await run(client), await run(client, export_id="a"), await upload(client, b"")):
        assert_problem(answer, 503)
        assert answer.headers["retry-after"]
    world.is_down = False
    assert (await run(client)).status_code == 202


async def test_kafka_goes_away_in_the_middle(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken, "_PAUSE_SECONDS", 0.01)
    world.refuses_records = True
    assert_problem(await run(client, export_id="e-1"), 503)
    assert world.cancelled() == ["e-1"]
    assert world.reasons == ["records: Kafka acknowledges nothing within 30 s"]
    world.refuses_records = False
    assert (await run(client, export_id="e-2")).status_code == 202
    assert world.publishers == 2, "none is used again after an error"


async def test_whatever_a_publisher_fails_at_the_next_one_is_tried(
    client: httpx.AsyncClient, world: World
) -> None:
    world.start_fails = RuntimeError("the secret of the inside")
    problem = assert_problem(await run(client), 503)
    assert "secret" not in str(problem)
    world.start_fails = None
    assert (await run(client)).status_code == 202


async def test_a_storage_that_does_not_answer_cancels_no_upload(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.run._LOOK_SECONDS", 0.0)
    looked = 0

    def manifest(_: str) -> None:
        nonlocal looked
        looked += 1
        raise StorageUnavailable("Stale file handle")

    writer = await raw_upload(client, 12)
    writer.write(b"[1]\n")
    await until(lambda: world.records)
    monkeypatch.setattr(world.storage, "manifest", manifest)
    writer.write(b"[2]\n")
    await until(lambda: looked)
    writer.write(b"[3]\n")
    await until(lambda: world.is_finished("n"))
    assert world.cancelled() == []
    assert world.published_rows("n") == [[1], [2], [3]]
    writer.close()


async def test_a_retry_goes_on_with_the_request_that_kafka_took_late(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_REQUEST_SECONDS", 0.2)
    world.held = asyncio.Event()
    for _ in range(2):
        assert_problem(await run(client, export_id="e-1"), 503, "Kafka doesn't answer")
    assert_problem(await run(client, export_id="e-1", title="another"), 503)
    world.held.set()
    assert (await run(client, export_id="e-1")).status_code == 202
    assert len(world.requests) == 1
    assert world.published_rows("e-1") == GOOD["data"]
    assert world.is_finished("e-1")


async def test_a_retry_goes_on_where_kafka_did_not_say_whose_the_id_is(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, finds = world.find, 0

    async def refused_once(export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        nonlocal finds
        finds += 1
        if finds == 2:  # the first one is before the request is published
            raise BacklogUnavailable("Kafka doesn't answer")
        return await find(export_id, accepted=accepted)

    monkeypatch.setattr(world, "find", refused_once)
    assert_problem(await run(client, export_id="e-1"), 503, "Kafka doesn't answer")
    assert (await run(client, export_id="e-1")).status_code == 202
    assert len(world.requests) == 1
    assert world.cancelled() == []
    assert world.published_rows("e-1") == GOOD["data"]
    assert world.is_finished("e-1")


async def test_a_retry_that_is_refused_before_it_resumes_is_waited_for_again(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its count of unfinished exports takes longer than a client has for a retry, and fails."""
    monkeypatch.setattr(broken, "_RETRY_SECONDS", 0.5)
    monkeypatch.setattr(uploads, "_REQUEST_SECONDS", 0.2)
    counts = world.counts

    async def refused_late(user: str) -> tuple[int, int]:
        await asyncio.sleep(0.8)
        raise BacklogUnavailable("Kafka doesn't answer")

    world.held = asyncio.Event()
    assert_problem(await run(client, export_id="e-1"), 503, "Kafka doesn't answer")
    world.held.set()
    for _ in range(2):
        monkeypatch.setattr(world, "counts", refused_late)
        assert_problem(await run(client, export_id="e-1"), 503, "Kafka doesn't answer")
        await asyncio.sleep(0.3)
    monkeypatch.setattr(world, "counts", counts)
    assert (await run(client, export_id="e-1")).status_code == 202
    assert world.cancelled() == []
    assert len(world.requests) == 1
    assert world.published_rows("e-1") == GOOD["data"]


async def test_without_a_retry_a_late_request_is_cancelled_and_its_id_kept_until_the_end(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(broken, "_RETRY_SECONDS", 0.2)
    world.held = asyncio.Event()
    assert_problem(await run(client, export_id="e-1"), 503)
    world.held.set()
    await until(lambda: world.cancelled() == ["e-1"])
    assert world.reasons == ["Kafka doesn't answer"]
    detail = "an upload of this id broke off and is being cancelled"
    assert_problem(await run(client, export_id="e-1"), 503, detail)
    world.end("e-1", "cancelled")
    answer = await run_until(client, 200, "?wait=1", export_id="e-1")
    assert answer.json()["type"] == "export.cancelled"
    assert world.records == []


async def test_a_late_cancellation_spares_the_export_that_another_node_published(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(broken, "_RETRY_SECONDS", 0.0)
    world.held = asyncio.Event()
    assert_problem(await run(client, export_id="e-1"), 503)
    world.others["e-1"] = "anonymous"  # its request is the first
    world.held.set()
    await run_until(client, 202, export_id="e-1")
    assert len(world.requests) == 1, "the late one, which is a repeat"
    assert world.cancelled() == []


async def test_a_request_that_was_refused_is_forgotten(
    client: httpx.AsyncClient, world: World
) -> None:
    world.room.clear()
    answer = asyncio.create_task(run(client, export_id="e-1"))
    await until(lambda: world.waiting == 1)
    world.is_down = True
    world.room.set()
    assert_problem(await answer, 503)
    world.is_down = False
    await run_until(client, 202, export_id="e-1")
    assert world.is_finished("e-1")
    assert world.cancelled() == []


# Uploads that don't end well


async def test_an_upload_that_breaks_off_is_cancelled(
    client: httpx.AsyncClient, world: World
) -> None:
    writer = await raw_upload(client, 1_000)
    writer.write(b"[1]\n[2]\n[3")
    await until(lambda: world.requests)
    writer.close()
    await until(lambda: world.cancelled() == ["n"])
    assert world.reasons == ["the upload broke off"]
    assert not world.is_finished("n")


async def test_rows_of_a_slow_upload_are_sent_while_it_goes_on(
    client: httpx.AsyncClient, world: World
) -> None:
    writer = await raw_upload(client, 8)
    writer.write(b"[1]\n")
    await until(lambda: world.records)
    writer.write(b"[2]\n")
    await until(lambda: world.is_finished("n"))
    assert world.published_rows("n") == [[1], [2]]
    writer.close()


async def test_an_upload_that_stalls_is_cut_off(world: World) -> None:
    async with serving_world(world, idle_timeout_seconds=1.5) as client:
        writer = await raw_upload(client, 1_000)
        writer.write(b"[1]\n")
        await until(lambda: world.cancelled() == ["n"])
        assert world.reasons == ["nothing of the body came for 1.5 s"]
        writer.close()


async def test_an_upload_without_a_row_is_not_requested(world: World) -> None:
    async with serving_world(world, idle_timeout_seconds=0.5) as client:
        reader, writer = await raw_connection(client, 1_000)
        writer.write(b"\n \n[1")
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"no row has come within 0.5 s" in answer
        writer.close()
    assert world.requests == []


async def pushed(writer: asyncio.StreamWriter, most: int) -> int:
    """Send rows until none are taken any more, or so many bytes were."""
    taken = 0
    with suppress(TimeoutError):
        while taken < most:
            writer.write(b'["%b"]\n' % (b"x" * 60_000))
            await asyncio.wait_for(writer.drain(), 0.5)
            taken += 60_000
    return taken


async def test_an_upload_waits_for_kafka(client: httpx.AsyncClient, world: World) -> None:
    writer = await raw_upload(client, 1 << 40)
    writer.write(b"[0]\n")
    await until(lambda: world.requests)
    world.room.clear()
    assert await pushed(writer, 30_000_000) < 30_000_000
    world.room.set()
    await asyncio.wait_for(writer.drain(), 30)
    writer.close()
    await until(lambda: world.cancelled() == ["n"])


async def test_an_upload_whose_export_has_ended_is_not_read_on(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.run._LOOK_SECONDS", 0.0)
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"[1]\n"
        await ended.wait()
        for _ in range(50):
            yield b"[2]\n" * 1_000

    answer = asyncio.create_task(upload(client, body(), "export_id=n&format=csv&columns=a"))
    await until(lambda: world.requests)
    world.end("n", "failed")
    ended.set()
    assert (await answer).status_code == 202
    assert len(world.records) < 10
    assert world.cancelled() == []


async def test_a_node_that_stops_cancels_its_uploads(world: World) -> None:
    async with serving_world(world) as client:
        writer = await raw_upload(client, 1_000)
        writer.write(b"[0]\n")
        await until(lambda: world.requests)
    assert world.cancelled() == ["n"]
    assert world.reasons == ["the node stops"]
    writer.close()
