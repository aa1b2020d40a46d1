"""``GET /group``: for operators only, and 503 while Kafka can't tell."""

from pathlib import Path

import httpx

from tests.support.gates import gate_with_file
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem

ALICE, OPS = ({"Authorization": f"Bearer t-{name}"} for name in ("alice", "ops"))


async def test_it_is_for_operators_only(world: World, tmp_path: Path) -> None:
    gate = gate_with_file(tmp_path, ops="operator")
    async with serving_world(world, gate=gate) as client:
        assert_problem(await client.get("/group"), 401)
        assert_problem(await client.get("/group", headers=ALICE), 403)
        assert (await client.get("/group", headers=OPS)).status_code == 200


async def test_nodes_and_partitions_are_in_the_answer(
    world: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/group")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert [*found] == ["group_id", "state", "nodes", "partitions", "lag", "answered_by"]
    assert (found["group_id"], found["state"]) == ("sluice", "Stable")
    assert found["nodes"][0] == {
        "name": "sluice-alpha-17",
        "host": "10.0.0.7",
        "partitions": [0, 4, 11],
    }
    assert {"partition": 5, "lag": 1, "node": None} in found["partitions"]
    assert found["lag"] == world.group.lag == sum(one["lag"] for one in found["partitions"])


async def test_it_takes_no_parameters(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.get("/group?group_id=other"), 400)
    assert [error["field"] for error in problem["errors"]] == ["group_id"]


async def test_without_kafka_or_its_commits_it_is_503(
    world: World, client: httpx.AsyncClient
) -> None:
    world.lacks_group = True
    assert_problem(await client.get("/group"), 503, "the group's commits went back")
    world.is_down = True
    answer = await client.get("/group")
    assert_problem(answer, 503, "no broker answers")
    assert answer.headers["retry-after"] == "1"
