"""A node that asks for tokens, over HTTPS: from the file, which changes, and from an issuer."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from schemas.topics import Topics
from sluice.access.token_file import digest_of
from tests.support.certificates import OPENSSL, Authority
from tests.support.issuer import AUDIENCE, running_issuer
from tests.support.nodes import NodeProcess, settings_for
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(OPENSSL is None, reason="no openssl command"),
]


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def until_status(client: httpx.AsyncClient, token: str, status: int) -> None:
    deadline = time.monotonic() + 10
    while (await client.get("/export/status", headers=bearing(token))).status_code != status:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@asynccontextmanager
async def node_of(
    bootstrap_servers: str, topics: Topics, directory: Path, **settings: str
) -> AsyncIterator[tuple[NodeProcess, httpx.AsyncClient, Shell]]:
    """A node over HTTPS with a token file, a client that trusts it, and commands beside it."""
    authority = Authority(directory / "tls")
    issued = authority.issue("node")
    environment = settings_for(
        bootstrap_servers,
        topics,
        directory / "exports",
        API_TOKENS_FILE=directory / "tokens",
        HTTP_CERTFILE=issued.certificate,
        HTTP_KEYFILE=issued.key,
        **settings,
    )
    (directory / "tokens").touch()
    trusted = ssl.create_default_context(cafile=authority.certificate)
    async with (
        NodeProcess(environment, directory / "node.log") as node,
        httpx.AsyncClient(base_url=node.url, verify=trusted) as client,
    ):
        yield node, client, Shell(environment, directory)


async def test_a_node_lets_in_who_has_a_token(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    with running_issuer() as provider:
        provider.rotate("k-1")
        issuer = {"OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE}
        async with node_of(
            bootstrap_servers, topics, tmp_path, OIDC_ROLE_CLAIM="roles", **issuer
        ) as (node, client, shell):
            assert node.url.startswith("https://")
            assert (await client.get("/export/status")).status_code == 401
            token = shell.run("tokens", "create", "--user", "alice").stdout.strip()
            await until_status(client, token, 200)
            sent = {"export_id": "e-1", "format": "csv", "columns": ["a"], "data": [[1]]}
            done = await client.post("/export/run?wait=20", json=sent, headers=bearing(token))
            assert (done.status_code, done.json()["user"]) == (200, "alice")
            other = bearing(provider.token(sub="bob"))
            operator = bearing(provider.token(sub="ops", roles=["operator"]))
            for headers, status in ((other, 404), (operator, 200), (bearing(token), 200)):
                answer = await client.get("/export/download/e-1", headers=headers)
                assert answer.status_code == status
            shell.run("tokens", "revoke", digest_of(token.encode())[:12])
            await until_status(client, token, 401)
            assert node.terminate() == 0
        audited = [line for line in node.lines() if line["event"] == "audit"]
        assert ("run", "alice", "e-1") in [
            (line["action"], line.get("user"), line.get("export_id")) for line in audited
        ]
        secrets = (token, operator["Authorization"].partition(" ")[2])
        assert not any(secret in node.log.read_text() for secret in secrets)
