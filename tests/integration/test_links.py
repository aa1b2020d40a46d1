"""Links on real nodes: made by HTTP and by the command, opened by plain clients, in no log."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on, settings_for
from tests.support.object_stores import Bucket
from tests.support.outcomes import events
from tests.support.shell import Shell
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TOKEN, NEW, OLD = "t-" + "a" * 20, "n" * 32, "o" * 32
SETTINGS: dict[str, Any] = {
    "API_TOKENS": f"{TOKEN}:anonymous",
    "LINK_KEYS": f"{NEW},{OLD}",
    "LOG_LEVEL": "debug",
}
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
WHOLE = csv_bytes(rows_of(0, 3))


async def export(upstream: Upstream, servers: str, topics: Topics) -> None:
    await upstream.request("e-1")
    await upstream.batch("e-1", 0, rows_of(0, 3), last=True)
    (event,) = await events(servers, topics.completions, at_least=1)
    assert event.type == "export.completed"


async def made(node: NodeProcess, seconds: int) -> str:
    async with http_client(node.url) as client:
        body = {"expires_in_seconds": seconds}
        answer = await client.post("/export/e-1/link", json=body, headers=AUTHORIZED)
        assert answer.status_code == 201, answer.text
        url: str = answer.json()["url"]
        assert url.startswith(f"{node.url}/export/download/e-1?")
        return url


def check_no_line_has(node: NodeProcess, *urls: str) -> None:
    """Neither a signature nor a key."""
    logged = node.log.read_text()
    assert logged.count("/export/download/e-1") >= len(urls)
    for url in urls:
        for name, (value,) in parse_qs(urlsplit(url).query).items():
            if "ignature" in name:
                assert value not in logged
    assert not {key for key in (NEW, OLD, TOKEN) if key in logged}


async def test_a_link_to_a_directory(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, **SETTINGS) as node:
        await export(upstream, bootstrap_servers, topics)
        url = await made(node, 60)
        environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
        environment |= {
            "SLUICE_LINK_KEYS": OLD,
            "SLUICE_PUBLIC_URL": node.url,
            "SLUICE_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        }
        (printed,) = Shell(environment, tmp_path).run("link", "e-1").stdout.splitlines()
        async with http_client() as anyone:
            for link in (url, printed):
                found = await anyone.get(link)
                assert (found.status_code, found.content) == (200, WHOLE)
            part = await anyone.get(url, headers={"Range": "bytes=3-9"})
            assert (part.status_code, part.content) == (206, WHOLE[3:10])
            assert (await anyone.head(url)).headers["content-length"] == str(len(WHOLE))
            assert (await anyone.get(url[:-1])).status_code == 403
            assert (await anyone.get(url.partition("?")[0])).status_code == 401
        check_no_line_has(node, url, printed)


async def test_a_link_to_a_bucket_leads_there(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, bucket: Bucket, tmp_path: Path
) -> None:
    kept = SETTINGS | {"RETENTION_SECONDS": 3600}
    environment = settings_for(bootstrap_servers, topics, Path("unused"), **kept)
    environment |= bucket.environment("links") | {"SLUICE_SCRATCH_DIR": str(tmp_path / "scratch")}
    async with NodeProcess(environment, tmp_path / "node.log") as node:
        await export(upstream, bootstrap_servers, topics)
        url = await made(node, 60)
        async with http_client() as anyone:
            sent_on = await anyone.get(url)
            assert sent_on.status_code == 307
            streamed = await anyone.get(f"{url}&redirect=false")
            assert sent_on.headers["sunset"] == streamed.headers["sunset"]
            there = sent_on.headers["location"]
            assert there.startswith(f"{bucket.options['endpoint']}/")
            assert int(parse_qs(urlsplit(there).query)["X-Amz-Expires"][0]) <= 60
            assert (streamed.status_code, streamed.content) == (200, WHOLE)
            with_token = await anyone.get(url.partition("?")[0], headers=AUTHORIZED)
            assert (with_token.status_code, with_token.content) == (200, WHOLE)
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as follower:
            found = await follower.get(url)
            assert (found.status_code, found.content) == (200, WHOLE)
            assert found.headers["content-disposition"] == 'attachment; filename="e-1.csv"'
            part = await follower.get(url, headers={"Range": "bytes=3-9"})
            assert (part.status_code, part.content) == (206, WHOLE[3:10])
            head = await follower.head(url)
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(WHOLE)))
        check_no_line_has(node, url, there)
