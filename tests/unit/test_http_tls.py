"""HTTPS: real handshakes with a certificate of a test's own authority."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from sluice.http import tls as tls_module
from sluice.http.server import HttpServer
from sluice.http.tls import ServerCertificate, server_context
from tests.support.certificates import OPENSSL, Authority
from tests.support.http import World, app_of
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
ROWS = {"format": "csv", "columns": ["a"], "data": [[1]]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(world: World, authority: Authority) -> AsyncIterator[HttpServer]:
    issued = authority.issue("node")
    context = server_context(issued.certificate, issued.key)
    async with app_of(world) as app, HttpServer(app, "127.0.0.1", 0, lambda: context) as server:
        yield server


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate)


async def test_https_is_all_it_speaks(
    world: World, server: HttpServer, authority: Authority
) -> None:
    assert server.url == f"https://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(verify=trusting(authority), base_url=server.url) as client:
        assert (await client.get("/health")).json() == {"status": "alive"}
        sent = {**ROWS, "export_id": "e-1", "data": [[number] for number in range(50_000)]}
        assert (await client.post("/export/run", json=sent)).status_code == 202
        world.end("e-1", content=b"x" * 3_000_000)
        assert len((await client.get("/export/download/e-1")).content) == 3_000_000
    with pytest.raises(httpx.HTTPError):
        async with httpx.AsyncClient() as plain:
            await plain.get(f"http://127.0.0.1:{server.port}/health")
    with pytest.raises(httpx.ConnectError, match="certificate"):
        async with httpx.AsyncClient() as stranger:
            await stranger.get(f"{server.url}/health")
    async with httpx.AsyncClient(verify=trusting(authority), base_url=server.url) as client:
        assert (await client.get("/health")).status_code == 200


async def test_a_request_that_comes_with_the_handshakes_end_is_answered(
    server: HttpServer, authority: Authority
) -> None:
    """The last step of the client's and its request in one packet, by hand."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(authority).wrap_bio(into, out, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(out.read())
            into.write(await reader.read(65_536))
    client.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    writer.write(out.read())
    answer = b""
    while b"alive" not in answer:
        into.write(await asyncio.wait_for(reader.read(65_536), 5))
        with suppress(ssl.SSLWantReadError):
            answer += client.read(65_536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_serve(
    server: HttpServer, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    async with httpx.AsyncClient(verify=context) as client:
        assert (await client.get(f"{server.url}/health")).status_code == 200


async def test_handshakes_are_bounded(
    server: HttpServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "most_connections", lambda: 5)
    handshakes = server._handshakes
    assert handshakes
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    await until(lambda: len(handshakes.under_way) == 5)
    async with httpx.AsyncClient(verify=trusting(authority)) as client:
        assert (await client.get(f"{server.url}/health")).status_code == 200
    assert len(handshakes.under_way) <= 5
    for one in silent:
        one.close()
    await until(lambda: not handshakes.under_way)


async def test_a_slow_handshake_is_ended(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "HEAD_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_stop_ends_handshakes(world: World, authority: Authority) -> None:
    issued = authority.issue("other")
    context = server_context(issued.certificate, issued.key)
    async with app_of(world) as app:
        server = HttpServer(app, "127.0.0.1", 0, lambda: context)
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await until(lambda: server._handshakes and len(server._handshakes.under_way) == 1)
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()


def test_a_certificate_in_one_file_with_its_key_serves(
    authority: Authority, tmp_path: Path
) -> None:
    assert server_context(authority.issue("both").keystore, None)


def shown_serial(port: int, authority: Authority) -> str:
    """The serial number of the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        shown = tls.getpeercert()
        assert shown
        return str(shown["serialNumber"])


async def test_a_renewed_certificate_is_taken_without_a_restart(
    world: World, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "_LOOK_SECONDS", 0.0)
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    first, second = authority.issue("first"), authority.issue("second")
    certificate.write_bytes(first.certificate.read_bytes())
    key.write_bytes(first.key.read_bytes())
    context = ServerCertificate(certificate, key).context
    async with app_of(world) as app, HttpServer(app, "127.0.0.1", 0, context) as server:

        async def serial() -> str:
            return await asyncio.to_thread(shown_serial, server.port, authority)

        before = await serial()
        # Two files can't be renewed at once; meanwhile the last pair serves.
        certificate.write_bytes(second.certificate.read_bytes())
        assert await serial() == before
        key.write_bytes(second.key.read_bytes())
        renewed = await serial()
        assert renewed != before
        key.unlink()
        assert await serial() == renewed
