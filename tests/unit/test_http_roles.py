"""Who may do what over HTTP: users have their own exports, operators all; and what is audited."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.access.gate import AccessGate
from sluice.access.issuer import Issuer
from sluice.access.issuer_fetch import IssuerFetch
from sluice.access.issuer_keys import IssuerKeys
from sluice.http import audit as audit_module
from tests.support.gates import digest, gate_with_file
from tests.support.http import World, serving_world
from tests.support.issuer import AUDIENCE, running_issuer
from tests.support.listing import ended_export
from tests.support.serving import assert_problem

NOON = 1_795_255_200_000
ALICE, BOB, OPS = ({"Authorization": f"Bearer t-{name}"} for name in ("alice", "bob", "ops"))
ROWS = {"format": "csv", "columns": ["a"], "data": [[1]]}


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    gate = gate_with_file(tmp_path, bob="user", ops="operator")
    async with serving_world(world, gate=gate) as client:
        yield client


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines of the audit log, by their fields."""
    lines: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:
            lines.append({"level": "info", "event": event, **fields})

        def warning(self, event: str, **fields: Any) -> None:
            lines.append({"level": "warning", "event": event, **fields})

    monkeypatch.setattr(audit_module, "log", Log())
    return lines


async def test_an_operator_acts_on_all_exports(world: World, client: httpx.AsyncClient) -> None:
    world.request("open", "alice")
    world.request("done", "alice")
    world.end("done")
    for headers, seen in ((ALICE, 200), (OPS, 200), (BOB, 404)):
        for path in ("status/open", "status/done", "download/done"):
            answer = await client.get(f"/export/{path}", headers=headers)
            assert answer.status_code == seen, (headers, path)
    await client.delete("/export/open", headers=BOB)
    assert world.cancelled() == []
    await client.delete("/export/open", headers=OPS)
    assert world.cancelled() == ["open"]


async def test_an_operator_lists_all_exports(world: World, client: httpx.AsyncClient) -> None:
    world.history.put(ended_export("hers", NOON), NOON)
    world.history.put(ended_export("his", NOON, user="bob"), NOON)
    for headers, query, expected in (
        (OPS, "", {"hers", "his"}),
        (OPS, "?user=bob", {"his"}),
        (ALICE, "", {"hers"}),
        (ALICE, "?user=bob", set()),
        (BOB, "", {"his"}),
    ):
        page = (await client.get(f"/export{query}", headers=headers)).json()
        assert {one["export_id"] for one in page["exports"]} == expected


async def test_the_user_of_an_operators_export_is_the_tokens(
    world: World, client: httpx.AsyncClient
) -> None:
    sent = {**ROWS, "user": "alice"}
    assert_problem(await client.post("/export/run", json=sent, headers=OPS), 400)
    assert (await client.post("/export/run", json=ROWS, headers=OPS)).status_code == 202
    assert [request.user for request in world.requested()] == ["ops"]


async def test_each_change_is_a_line(
    world: World, client: httpx.AsyncClient, audited: list[dict[str, Any]]
) -> None:
    sent = {**ROWS, "export_id": "e-1", "title": "hush"}
    for _ in range(2):  # the second one changes nothing
        await client.post("/export/run", json=sent, headers=ALICE)
    rows = b"[1]\n"
    await client.post(
        "/export/run?format=csv&columns=a&export_id=e-2",
        content=rows,
        headers={**BOB, "Content-Type": "application/x-ndjson"},
    )
    await client.delete("/export/e-1", headers=OPS)
    await client.delete("/export/e-1", headers=BOB)  # not his
    await client.get("/export/status/e-1", headers=OPS)
    who = {"level": "info", "event": "audit", "client": "127.0.0.1"}
    alice = {**who, "user": "alice", "role": "user", "token": "settings"}
    bob = {**who, "user": "bob", "role": "user", "token": digest("t-bob")[:12]}
    ops = {**who, "user": "ops", "role": "operator", "token": digest("t-ops")[:12]}
    assert audited == [
        {**alice, "action": "run", "export_id": "e-1", "format": "csv"},
        {**bob, "action": "run", "export_id": "e-2", "format": "csv"},
        {**ops, "action": "cancel", "export_id": "e-1"},
    ]


async def test_without_tokens_changes_are_lines_too(
    world: World, audited: list[dict[str, Any]]
) -> None:
    async with serving_world(world) as client:
        await client.post("/export/run", json={**ROWS, "export_id": "e-1"})
    assert [(line["action"], line["user"]) for line in audited] == [("run", None)]


async def test_refused_tokens_are_lines_and_few(
    client: httpx.AsyncClient, audited: list[dict[str, Any]]
) -> None:
    for number in range(25):
        headers = {"Authorization": f"Bearer wrong-{number}"}
        answer = await client.get("/export/status", headers=headers)
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    answer = await client.get("/export/status")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert audited == 10 * [
        {
            "level": "warning",
            "event": "audit",
            "action": "token_refused",
            "reason": "is not known",
            "client": "127.0.0.1",
            "unlogged": 0,
        }
    ]


def test_after_ten_seconds_it_says_how_many_there_were(audited: list[dict[str, Any]]) -> None:
    now = 0.0
    refusals = audit_module.Refusals(lambda: now)

    class Request:
        client = None

    request: Any = Request()
    for _ in range(13):
        refusals.note(request, "why")
    now = 10.0
    for _ in range(2):
        refusals.note(request, "why")
    assert [line["unlogged"] for line in audited] == [*[0] * 10, 3, 0]


async def test_a_token_of_the_issuer_is_as_good(world: World) -> None:
    with running_issuer() as provider:
        provider.rotate("k-1")
        token = provider.token(sub="carol", roles=["operator"])
        forged = provider.token(aud="other")
        fetch = IssuerFetch(provider.url)
        async with IssuerKeys(provider.url, fetch.fetch_keys, 0.01) as keys:
            gate = AccessGate({"t-a.b.c": "alice"}, None, Issuer(provider.url, AUDIENCE, keys))
            async with serving_world(world, gate=gate) as client:
                for sent, status in ((token, 200), ("t-a.b.c", 200), (forged, 401), ("a", 401)):
                    headers = {"Authorization": f"Bearer {sent}"}
                    answer = await client.get("/export/status", headers=headers)
                    assert answer.status_code == status, sent


async def test_while_an_issuer_has_never_answered_its_tokens_are_503(world: World) -> None:
    with running_issuer() as provider:
        provider.rotate("k-1")
        provider.status = 500
        fetch = IssuerFetch(provider.url)
        async with IssuerKeys(provider.url, fetch.fetch_keys, 0.01) as keys:
            gate = AccessGate({}, None, Issuer(provider.url, AUDIENCE, keys))
            async with serving_world(world, gate=gate) as client:
                headers = {"Authorization": f"Bearer {provider.token()}"}
                answer = await client.get("/export/status", headers=headers)
                assert_problem(answer, 503, "the issuer of tokens doesn't answer")
                assert int(answer.headers["retry-after"]) > 0


async def test_while_others_wait_for_keys_a_token_of_an_unknown_one_is_503(world: World) -> None:
    with running_issuer() as provider:
        provider.rotate("k-1")
        fetch = IssuerFetch(provider.url)
        async with IssuerKeys(provider.url, fetch.fetch_keys, 1.0) as keys:
            issuer = Issuer(provider.url, AUDIENCE, keys)
            await issuer.asker_of(provider.token().encode())
            provider.rotate("k-2")
            unknown = [issuer.asker_of(provider.token().encode()) for _ in range(100)]
            waiting = asyncio.gather(*unknown)
            async with serving_world(world, gate=AccessGate({}, None, issuer)) as client:
                headers = {"Authorization": f"Bearer {provider.token()}"}
                answer = await client.get("/export/status", headers=headers)
                assert_problem(
                    answer, 503, "too many tokens of keys that aren't known are looked at"
                )
                assert int(answer.headers["retry-after"]) > 0
                await waiting
                assert (await client.get("/export/status", headers=headers)).status_code == 200
