"""``POST /export/run``: how many exports and uploads there may be at a time."""

import asyncio

from tests.support.http import World, serving_world
from tests.support.http_run import ALICE, BOB, TOKENS, run, run_as, upload
from tests.support.serving import assert_problem
from tests.support.waiting import until


async def test_a_full_queue_refuses_and_says_when_to_come_back(world: World) -> None:
    async with serving_world(world, queue_limit=2) as client:
        world.others["elsewhere"] = "bob"
        assert (await run(client, export_id="e-1")).status_code == 202
        for answer in (await run(client, export_id="e-2"), await upload(client, b"[1,2]")):
            assert "SLUICE_QUEUE_LIMIT" in assert_problem(answer, 429)["detail"]
            assert int(answer.headers["retry-after"]) > 0
        assert (await run(client, export_id="e-1")).status_code == 202, "it is in already"
        world.end("e-1")
        assert (await run(client, export_id="e-2")).status_code == 202


async def test_a_user_with_too_many_is_refused_and_others_are_not(world: World) -> None:
    async with serving_world(world, user_queue_limit=2, **TOKENS) as client:
        world.others["elsewhere"] = "alice"
        assert (await run_as(client, ALICE, "e-1")).status_code == 202
        answer = await run_as(client, ALICE, "e-2")
        problem = assert_problem(answer, 429)
        assert problem["scope"] == "user"
        assert "SLUICE_USER_QUEUE_LIMIT" in problem["detail"]
        assert int(answer.headers["retry-after"]) > 0
        assert (await run_as(client, BOB, "e-3")).status_code == 202
        assert (await run_as(client, ALICE, "e-1")).status_code == 202, "it is in already"
        world.end("e-1")
        assert (await run_as(client, ALICE, "e-2")).status_code == 202


async def test_a_users_uploads_that_begin_at_once_are_counted(world: World) -> None:
    async with serving_world(world, user_queue_limit=3) as client:
        world.room.clear()
        answers = [asyncio.create_task(run(client)) for _ in range(8)]
        others = asyncio.create_task(run(client, user="bob"))
        await until(lambda: world.waiting == 4 and sum(one.done() for one in answers) == 5)
        world.room.set()
        statuses = sorted([(await answer).status_code for answer in answers])
        assert (await others).status_code == 202
    assert statuses == [202] * 3 + [429] * 5


async def test_the_groups_limit_has_no_scope(world: World) -> None:
    async with serving_world(world, queue_limit=1, user_queue_limit=2) as client:
        await run(client)
        assert "scope" not in assert_problem(await run(client), 429)


async def test_uploads_that_begin_at_once_are_counted(world: World) -> None:
    async with serving_world(world, queue_limit=3) as client:
        world.room.clear()
        answers = [asyncio.create_task(run(client)) for _ in range(8)]
        await until(lambda: world.waiting == 3 and sum(one.done() for one in answers) == 5)
        world.room.set()
        statuses = sorted([(await answer).status_code for answer in answers])
    assert statuses == [202] * 3 + [429] * 5
    assert len(world.requests) == 3


async def test_a_refused_upload_leaves_its_place(world: World) -> None:
    async with serving_world(world, queue_limit=1) as client:
        assert_problem(await upload(client, b"[1", "export_id=n&format=csv&columns=a"), 400)
        world.end("n", "cancelled")
        assert (await run(client)).status_code == 202


# Whose exports they are
