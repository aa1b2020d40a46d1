"""``GET /export``: pages, what their exports show, and whose they are."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.support.cpu import stretches
from tests.support.http import World, serving_world
from tests.support.listing import ended_export
from tests.support.serving import assert_problem

NOON = 1_795_255_200_000


async def listed(client: httpx.AsyncClient, query: str = "") -> list[str]:
    answer = await client.get(f"/export{query}")
    assert answer.status_code == 200, answer.text
    return [one["export_id"] for one in answer.json()["exports"]]


async def test_it_shows_open_and_ended_ones_with_their_progress(
    client: httpx.AsyncClient, world: World
) -> None:
    done = ended_export("done", NOON, title="Orders", expires_at_ms=NOON + 1000)
    world.history.put(done, NOON)
    world.history.put(ended_export("later", NOON - 1, expires_at_ms=2 * NOON), NOON)
    world.request("open")
    world.titles["open"] = "Later"
    world.begun.add("open")
    world.rows["open"] = (7, 70)
    answer = await client.get("/export")
    assert answer.headers["cache-control"] == "no-store"
    fields: dict[str, Any] = {"format": "csv"}
    page = answer.json()
    later = page["exports"].pop()
    assert (later["expires_at"], later["expired"]) == ("2083-10-11T20:00:00.000Z", False)
    assert page["next"] is None
    assert {one["export_id"]: one for one in page["exports"]} == {
        "open": {
            **fields,
            "export_id": "open",
            "state": "running",
            "user": "anonymous",
            "title": "Later",
            "rows": 7,
            "bytes": 70,
            "requested_at": "2026-11-21T10:00:00.000Z",
            "completed_at": None,
            "expires_at": None,
            "expired": False,
        },
        "done": {
            **fields,
            "export_id": "done",
            "state": "completed",
            "user": "alice",
            "title": "Orders",
            "rows": 10,
            "bytes": 1000,
            "requested_at": "2026-11-21T10:00:00.000Z",
            "completed_at": "2026-11-21T10:00:00.400Z",
            "expires_at": "2026-11-21T10:00:01.000Z",
            "expired": True,
        },
    }


async def test_it_runs_once_rows_are_in_its_file_as_its_status_says(
    client: httpx.AsyncClient, world: World
) -> None:
    """No turn of it is committed yet, which the group's offsets would show."""
    for export_id, progress in (("rows", (7, 70)), ("begins", (0, 0))):
        world.request(export_id)
        world.rows[export_id] = progress
    world.request("elsewhere")
    shown = {
        one["export_id"]: one["state"] for one in (await client.get("/export")).json()["exports"]
    }
    assert shown == {"rows": "running", "begins": "queued", "elsewhere": "queued"}
    for export_id, state in shown.items():
        assert (await client.get(f"/export/status/{export_id}")).json()["state"] == state
    assert await listed(client, "?state=running") == ["rows"]
    assert await listed(client, "?state=queued") == ["elsewhere", "begins"]


async def test_pages_go_on_where_the_last_one_ended(
    client: httpx.AsyncClient, world: World
) -> None:
    for number in range(7):
        world.history.put(ended_export(f"e-{number}", NOON + number), NOON)
    first = (await client.get("/export?limit=3")).json()
    assert [one["export_id"] for one in first["exports"]] == ["e-6", "e-5", "e-4"]
    assert await listed(client, f"?limit=3&before={first['next']}") == ["e-3", "e-2", "e-1"]
    assert await listed(client, "?state=failed") == []
    assert await listed(client, "?q=E-3&user=alice&format=csv&state=completed") == ["e-3"]


async def test_a_user_sees_their_own(world: World) -> None:
    world.history.put(ended_export("hers", NOON), NOON)
    world.history.put(ended_export("his", NOON, user="bob"), NOON)
    world.request("his-open", user="bob")
    async with serving_world(world, users_by_token={"t-1": "alice"}) as client:
        assert_problem(await client.get("/export"), 401)
        client.headers["Authorization"] = "Bearer t-1"
        assert await listed(client) == ["hers"]
        assert await listed(client, "?user=bob") == []
        assert await listed(client, "?user=alice") == ["hers"]
        assert await listed(client, "?q=his") == []


async def test_wrong_parameters_are_named(client: httpx.AsyncClient) -> None:
    query = "?limit=201&state=done&format=doc&before=x&page=2&q=a&q=b"
    problem = assert_problem(await client.get(f"/export{query}"), 400)
    fields = [error["field"] for error in problem["errors"]]
    assert fields == ["page", "q", "limit", "state", "format", "before"]
    messages = {error["field"]: error["message"] for error in problem["errors"]}
    assert messages["q"] == "is given more than once"
    assert messages["page"] == "is not a parameter of this request"
    for limit in ("0", "-1", "", "²", "9" * 5000, "0000000001000"):
        assert_problem(await client.get(f"/export?limit={limit}"), 400)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_other_methods_are_refused(client: httpx.AsyncClient, method: str) -> None:
    assert_problem(await client.request(method, "/export"), 405)


async def test_without_kafka_there_is_no_list(client: httpx.AsyncClient, world: World) -> None:
    world.is_down = True
    assert_problem(await client.get("/export"), 503)


async def test_a_query_costs_what_it_is_long(client: httpx.AsyncClient) -> None:
    names = "&".join(f"p{number:x}" for number in range(11_000))
    begun = time.process_time()
    assert (await client.get(f"/export?{names}")).status_code == 400
    assert time.process_time() - begun < 1, "it was 1.8 s by a pass for each name"


async def test_a_long_text_is_part_of_nothing(client: httpx.AsyncClient) -> None:
    assert await listed(client, "?q=" + "x" * 1000) == []
    answer = await client.get("/export?q=" + "x" * 1001)
    errors = assert_problem(answer, 400)["errors"]
    assert errors == [{"field": "q", "message": "must have at most 1,000 characters"}]


@pytest.mark.slow
async def test_a_page_out_of_100_000_lets_others_have_their_turn(
    client: httpx.AsyncClient, world: World
) -> None:
    world.listed = [ended_export(f"o-{n:06}", NOON + n, state="queued") for n in range(100_000)]
    async with stretches() as found:
        assert await listed(client, "?limit=2") == ["o-099999", "o-099998"]
        assert await listed(client, "?q=o-00007&limit=1") == ["o-000079"]
        await asyncio.gather(*(listed(client, "?q=nowhere") for _ in range(10)))
    assert max(found) < 0.05
