"""The nginx in front of the nodes, as the compose file has it: a real one, before a real node."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from broker.ports import pick_free_port
from schemas.topics import Topics
from tests.support.nodes import node_on
from tests.support.sse import listening
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

TEMPLATE = Path(__file__).parents[2] / "compose" / "nginx" / "export.conf.template"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

AROUND = """
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/export.conf;
}}
"""
ROWS = 200_000


def configured(place: Path, node_url: str, port: int, *, buffers: bool = False) -> Path:
    """The template with its variable filled in, as the image does, and a port of ours.

    ``buffers``: as nginx does unless it is switched off.
    """
    node = urlsplit(node_url)
    nodes = f"server {node.netloc};\nserver {node.netloc} backup;"
    text = TEMPLATE.read_text().replace("${SLUICE_NODES}", nodes)
    if buffers:
        assert "proxy_buffering off;" in text
        text = text.replace("proxy_buffering off;", "proxy_buffering on;")
    (place / "export.conf").write_text(text.replace("listen 8080", f"listen 127.0.0.1:{port}"))
    around = place / "nginx.conf"
    around.write_text(AROUND.format(place=place))
    return around


@contextmanager
def nginx_before(node_url: str, place: Path, *, buffers: bool = False) -> Iterator[str]:
    assert NGINX
    place.mkdir()
    port = pick_free_port()
    around = configured(place, node_url, port, buffers=buffers)
    command = [NGINX, "-e", str(place / "error.log"), "-c", str(around)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with (place / "access.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(10)


@asynccontextmanager
async def client_through_nginx(
    bootstrap_servers: str,
    topics: Topics,
    tmp_path: Path,
    *,
    buffers: bool = False,
    **settings: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    async with node_on(bootstrap_servers, topics, tmp_path, **settings) as node:
        with nginx_before(node.url, tmp_path / "nginx", buffers=buffers) as url:
            transport = httpx.AsyncHTTPTransport(retries=5)
            async with httpx.AsyncClient(base_url=url, transport=transport, timeout=60) as client:
                yield client


def lines() -> Iterator[bytes]:
    for number in range(ROWS):
        yield b'[%d, "M\xc3\xbc\xc5\x9fteri %d"]\n' % (number, number)


async def chunks() -> AsyncIterator[bytes]:
    gathered = b""
    for line in lines():
        gathered += line
        if len(gathered) > 100_000:
            yield gathered
            gathered = b""
    yield gathered


NDJSON = {"content-type": "application/x-ndjson"}


@needs_nginx
async def test_an_upload_and_a_download_pass_through(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with client_through_nginx(bootstrap_servers, topics, tmp_path) as client:
        query = {"format": "csv", "columns": "n,t", "export_id": "through", "wait": "60"}
        ended = await client.post("/export/run", params=query, content=chunks(), headers=NDJSON)
        assert ended.status_code == 200, ended.text
        assert ended.json()["rows"] == ROWS
        whole = await client.get("/export/download/through")
        part = await client.get("/export/download/through", headers={"range": "bytes=2-6"})
        known = await client.get(
            "/export/download/through", headers={"if-none-match": whole.headers["etag"]}
        )
    expected = b"n,t\r\n" + b"".join(
        b"%d,M\xc3\xbc\xc5\x9fteri %d\r\n" % (number, number) for number in range(ROWS)
    )
    assert whole.content == expected
    assert int(whole.headers["content-length"]) == len(expected)
    assert (part.status_code, part.content) == (206, expected[2:7])
    assert known.status_code == 304


@needs_nginx
async def test_a_link_passes_through_and_its_signature_is_in_no_log(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    public: dict[str, Any] = {"LINK_KEYS": "k" * 32, "PUBLIC_URL": "https://exports.example.org"}
    async with client_through_nginx(bootstrap_servers, topics, tmp_path, **public) as client:
        run = {"format": "csv", "columns": ["a"], "data": [[1]], "export_id": "linked"}
        ended = await client.post("/export/run?wait=60", json=run)
        assert ended.status_code == 200, ended.text
        url = (await client.post("/export/linked/link")).json()["url"]
        assert url.startswith("https://exports.example.org/export/download/linked?")
        link = url.removeprefix("https://exports.example.org")
        headers = {"Referer": url}
        assert (await client.get(link, headers=headers)).content == b"a\r\n1\r\n"
        assert (await client.get(link[:-1])).status_code == 403
    logged = "".join(
        (tmp_path / "nginx" / f"{name}.log").read_text() for name in ("access", "error")
    )
    assert '"GET /export/download/linked HTTP/1.1" 200 ' in logged
    assert '"GET /export/download/linked HTTP/1.1" 403 ' in logged
    assert link.rpartition("signature=")[2][:20] not in logged


@needs_nginx
async def test_a_link_is_in_no_log_while_no_node_answers(tmp_path: Path) -> None:
    place, link = tmp_path / "nginx", "/export/download/a?expires=1&signature=s3cr3t"
    with nginx_before(f"http://127.0.0.1:{pick_free_port()}", place) as url:
        transport = httpx.AsyncHTTPTransport(retries=5)
        async with httpx.AsyncClient(base_url=url, transport=transport) as client:
            assert (await client.get(link)).status_code == 502
    logged = "".join((place / f"{name}.log").read_text() for name in ("access", "error"))
    assert '"GET /export/download/a HTTP/1.1" 502 ' in logged
    assert "s3cr3t" not in logged


@needs_nginx
async def test_an_upload_that_breaks_off_before_nginx_cancels_its_export(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with client_through_nginx(bootstrap_servers, topics, tmp_path) as client:
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(
            b"POST /export/run?format=csv&columns=n&export_id=broken HTTP/1.1\r\n"
            b"Host: sluice\r\nContent-Type: application/x-ndjson\r\n"
            b"Content-Length: 1000\r\n\r\n[1]\n"
        )
        await writer.drain()
        await state_of(client, "broken", {"queued", "running"})
        writer.transport.abort()
        assert await state_of(client, "broken", {"cancelled"}) == "cancelled"


@needs_nginx
async def test_the_page_and_what_it_calls_pass_through(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with client_through_nginx(bootstrap_servers, topics, tmp_path) as client:
        page = await client.get("/", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for path in re.findall(r'"(/page/[^"]+)"', page.text):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/export?limit=1")).json() == {"exports": [], "next": None}
        assert (await client.get("/dead-letters")).json() == {"dead_letters": []}
        assert len((await client.get("/group")).json()["nodes"]) == 1
        requeued = await client.post("/dead-letters/requeue", json={"all": True})
        assert requeued.json()["requeued"] == 0
        moved = await client.get("/")
        assert (moved.status_code, moved.headers["location"]) == (303, "/docs")
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/openapi.json")).status_code == 200


@needs_nginx
@pytest.mark.parametrize("buffers", [False, True])
async def test_events_come_at_once_through_a_proxy_that_buffers(
    bootstrap_servers: str, topics: Topics, tmp_path: Path, buffers: bool
) -> None:
    async with (
        client_through_nginx(bootstrap_servers, topics, tmp_path, buffers=buffers) as client,
        listening(client) as stream,
    ):
        run = {"format": "csv", "columns": ["a"], "data": [[1]], "export_id": "seen"}
        assert (await client.post("/export/run?wait=60", json=run)).status_code == 200
        ended = time.monotonic()
        await until(lambda: ("seen", "completed") in stream.shown())
        assert time.monotonic() - ended < 5, "messages wait in the proxy for more of them"
        await until(lambda: stream.comments > 0, seconds=20)


@needs_nginx
async def test_metrics_are_for_those_inside(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with client_through_nginx(bootstrap_servers, topics, tmp_path) as client:
        assert (await client.get("/export/status")).status_code == 200
        assert (await client.get("/export/metrics")).status_code == 404
        assert (await client.get("/health")).status_code == 404


async def state_of(client: httpx.AsyncClient, export_id: str, awaited: set[str]) -> str:
    async with asyncio.timeout(20):
        while True:
            answer = await client.get(f"/export/status/{export_id}")
            if answer.status_code == 200 and answer.json()["state"] in awaited:
                return str(answer.json()["state"])
            await asyncio.sleep(0.1)
