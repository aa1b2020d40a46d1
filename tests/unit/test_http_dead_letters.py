"""Dead letters over HTTP: who may, what is chosen, and what becomes of each."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from producer.dead_letters.records import DeadLetterRecord
from schemas.completions import Source
from sluice.http import dead_letters
from tests.support.gates import gate_with_file
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem

NOON = 1_795_255_200_000
SOURCE = Source(topic="export.requests", partition=2, offset=9)
ALICE, OPS = ({"Authorization": f"Bearer t-{name}"} for name in ("alice", "ops"))
PATH = "/dead-letters/requeue"


def letter(offset: int, reason: str = "unreadable", **more: Any) -> DeadLetterRecord:
    fields: dict[str, Any] = {
        "place": (0, offset),
        "timestamp": NOON + offset * 1000,
        "reason": reason,
        "source": SOURCE,
        "truncated": False,
        "key": b"k",
        "value": b"{",
        "headers": (("trace", b"\x00"),),
    }
    return DeadLetterRecord(**{**fields, **more})


@pytest.fixture
async def guarded(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    gate = gate_with_file(tmp_path, ops="operator")
    async with serving_world(world, gate=gate) as client:
        yield client


async def test_they_are_for_operators_only(world: World, guarded: httpx.AsyncClient) -> None:
    world.letters = [letter(1)]
    everything = {"all": True}
    for headers, status in ((ALICE, 403), (OPS, 200), ({}, 401)):
        answer = await guarded.get("/dead-letters", headers=headers)
        assert answer.status_code == status
        answer = await guarded.post(PATH, json=everything, headers=headers)
        assert answer.status_code == status
    assert world.requeued == [(0, 1)], "once, by the operator"


async def test_a_letter_is_shown_as_the_command_shows_it(
    client: httpx.AsyncClient, world: World
) -> None:
    world.letters = [letter(3, "orphan_batch", value=b"\xff{")]
    answer = await client.get("/dead-letters")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "dead_letters": [
            {
                "partition": 0,
                "offset": 3,
                "reason": "orphan_batch",
                "source": {"topic": "export.requests", "partition": 2, "offset": 9},
                "time": "2026-11-21T10:00:03.000Z",
                "key": "k",
                "bytes": 2,
                "truncated": False,
                "headers": [["trace", "\0"]],
                "value": "\\xff{",
            }
        ]
    }


async def test_a_query_chooses(client: httpx.AsyncClient, world: World) -> None:
    world.letters = [letter(n, "unreadable" if n % 2 else "null_value") for n in range(6)]
    for query, expected in (
        ("", [0, 1, 2, 3, 4, 5]),
        ("?reason=null_value", [0, 2, 4]),
        ("?reason=null_value&reason=unreadable&last=2", [4, 5]),
        ("?from=2026-11-21T10:00:01Z&to=2026-11-21T10:00:03Z", [1, 2]),
    ):
        found = (await client.get(f"/dead-letters{query}")).json()["dead_letters"]
        assert [one["offset"] for one in found] == expected, query


async def test_wrong_queries_are_named(client: httpx.AsyncClient) -> None:
    query = "?page=1&reason=odd&from=today&to=x&to=y&last=0"
    problem = assert_problem(await client.get(f"/dead-letters{query}"), 400)
    assert {error["field"] for error in problem["errors"]} == {
        *("page", "reason", "from", "to", "last")
    }
    for last in ("1001", "", "x", "00000000001"):
        assert_problem(await client.get(f"/dead-letters?last={last}"), 400)


async def test_each_letter_has_an_outcome(client: httpx.AsyncClient, world: World) -> None:
    world.letters = [letter(1), letter(2, truncated=True), letter(3)]
    sent = {"places": ["0:1", "0:2", "5:7"]}
    dry = await client.post(PATH, json={**sent, "dry_run": True})
    assert dry.json() == {
        "requeued": 1,
        "refused": 2,
        "letters": [
            {"place": "0:1", "outcome": "would requeue", "to": "export.requests 2"},
            {"place": "0:2", "outcome": "refused", "why": "its value is not there"},
            {"place": "5:7", "outcome": "missing"},
        ],
    }
    assert world.requeued == []
    done = (await client.post(PATH, json=sent)).json()
    assert [one["outcome"] for one in done["letters"]] == ["requeued", "refused", "missing"]
    assert world.requeued == [(0, 1)]


async def test_filters_choose_what_is_put_back(client: httpx.AsyncClient, world: World) -> None:
    world.letters = [letter(n, "unreadable" if n % 2 else "null_value") for n in range(6)]
    done = await client.post(PATH, json={"reasons": ["null_value"], "last": 2})
    assert done.json()["requeued"] == 2
    assert world.requeued == [(0, 2), (0, 4)]


async def test_what_comes_after_an_error_is_named(client: httpx.AsyncClient, world: World) -> None:
    world.letters = [letter(1), letter(2, key=b"late"), letter(3)]
    done = (await client.post(PATH, json={"all": True})).json()
    assert (done["requeued"], done["refused"]) == (1, 2)
    whys = [one.get("why") for one in done["letters"]]
    assert whys == [None, *2 * ["Kafka acknowledges nothing"]]


async def test_a_parameter_puts_none_back(client: httpx.AsyncClient, world: World) -> None:
    world.letters = [letter(1)]
    problem = assert_problem(await client.post(f"{PATH}?dry_run=true", json={"all": True}), 400)
    assert [error["field"] for error in problem["errors"]] == ["dry_run"]
    assert world.requeued == []


@pytest.mark.parametrize(("name", "text"), [("places", "1:1"), ("reasons", "invalid_id")])
async def test_more_than_may_be_requeued_are_not_even_read(
    client: httpx.AsyncClient, world: World, name: str, text: str
) -> None:
    """A body of a megabyte would hold the event loop for half a second and more."""
    begun = time.thread_time()
    problem = assert_problem(await client.post(PATH, json={name: [text] * 60_000}), 400)
    assert time.thread_time() - begun < 0.25
    assert problem["errors"] == [{"field": name, "message": "names more than 10,000"}]
    assert world.requeued == []


async def test_too_many_put_none_back(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_REQUEUED", 3)
    world.letters = [letter(n) for n in range(4)]
    problem = assert_problem(await client.post(PATH, json={"all": True}), 400)
    assert problem["detail"].startswith("more than 3 are chosen")
    assert world.requeued == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"all": False},
        {"all": True, "places": ["0:1"]},
        {"all": True, "last": 3},
        {"places": ["0:1"], "reasons": ["unreadable"]},
        {"places": ["0-1"]},
        {"places": "0:1"},
        {"places": [1]},
        {"reasons": ["odd"]},
        {"from": 7},
        {"all": 1},
        {"all": True, "dry_run": "yes"},
        {"last": 0},
        {"last": True},
        {"all": True, "every": True},
        {"all": True, "reasons": ""},
        {"all": True, "places": False},
        [],
    ],
)
async def test_wrong_choices_are_refused(
    client: httpx.AsyncClient, world: World, sent: Any
) -> None:
    world.letters = [letter(1)]
    assert assert_problem(await client.post(PATH, json=sent), 400)["errors"]
    assert world.requeued == []


@pytest.mark.parametrize("time", [7, True, ["2026-11-21T10:00:00Z"]])
async def test_a_time_that_is_no_text_is_named_as_that(
    client: httpx.AsyncClient, time: object
) -> None:
    problem = assert_problem(await client.post(PATH, json={"from": time}), 400)
    message = "must be a text: an RFC 3339 time in UTC, such as 2026-11-21T10:00:00.000Z"
    assert problem["errors"] == [{"field": "from", "message": message}]


async def test_other_bodies_are_refused(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post(PATH, content=b"{}"), 415)
    of_json = {"Content-Type": "application/json"}
    assert_problem(await client.post(PATH, content=b"{", headers=of_json), 400)
    assert_problem(await client.post(PATH, content=b" " * 1_100_000, headers=of_json), 413)


async def test_without_kafka_it_is_503(client: httpx.AsyncClient, world: World) -> None:
    world.is_down = True
    assert_problem(await client.get("/dead-letters"), 503, "no broker answers")
    assert_problem(await client.post(PATH, json={"all": True}), 503)
