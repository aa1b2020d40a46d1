"""The HTTP server's life: where it listens, and how it stops."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sluice.errors import UserError
from sluice.http.server import HttpServer
from tests.support.clients import http_client
from tests.support.http import World, app_of
from tests.support.serving import assert_problem, serving


@pytest.fixture
async def app(world: World) -> AsyncIterator[Starlette]:
    async with app_of(world) as app:
        yield app


async def test_port_0_picks_a_free_one(app: Starlette) -> None:
    async with HttpServer(app, "127.0.0.1", 0) as one, HttpServer(app, "127.0.0.1", 0) as two:
        assert one.port != two.port
        assert one.url == f"http://127.0.0.1:{one.port}"


async def test_a_taken_port_is_one_clear_line(app: Starlette) -> None:
    async with HttpServer(app, "127.0.0.1", 0) as first:
        second = HttpServer(app, "127.0.0.1", first.port)
        with pytest.raises(UserError) as caught:
            await second.__aenter__()
    assert str(caught.value) == (
        f"can't serve HTTP on 127.0.0.1:{first.port} "
        "(SLUICE_HTTP_HOST, SLUICE_HTTP_PORT): address already in use"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("::1%no-such-interface", "no such host"),
        ("x" * 70, "no such host"),
        ("192.0.2.1", "cannot assign requested address"),
    ],
)
async def test_an_address_that_is_not_ours_is_one_clear_line(
    app: Starlette, host: str, reason: str
) -> None:
    with pytest.raises(UserError) as caught:
        await HttpServer(app, host, 0).__aenter__()
    assert str(caught.value) == (
        f"can't serve HTTP on {host}:0 (SLUICE_HTTP_HOST, SLUICE_HTTP_PORT): {reason}"
    )


@pytest.mark.parametrize("host", [".".join("0000"), "localhost"])
async def test_its_url_can_be_fetched(app: Starlette, host: str) -> None:
    async with (
        HttpServer(app, host, 0) as server,
        http_client(server.url) as client,
    ):
        assert (await client.get("/health")).status_code == 200
        assert "//0" not in server.url


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - that is the point
        ("::", False),
    ],
)
async def test_it_knows_whether_others_reach_it(app: Starlette, host: str, is_local: bool) -> None:
    async with HttpServer(app, host, 0) as server:
        assert server.is_local is is_local


async def test_an_address_of_the_network_is_not_local(app: Starlette) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address would
        except OSError:
            pytest.skip("this machine has no network")
        address = probe.getsockname()[0]
    async with HttpServer(app, address, 0) as server:
        assert not server.is_local


async def test_ipv6_has_its_brackets(app: Starlette) -> None:
    try:
        async with HttpServer(app, "::1", 0) as server:
            assert server.url == f"http://[::1]:{server.port}"
            async with http_client() as client:
                assert (await client.get(f"{server.url}/health")).status_code == 200
    except UserError:
        pytest.skip("this machine has no IPv6 address of its own")


async def test_it_stops_while_connections_are_kept_alive_and_frees_the_port(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.server._GRACE_SECONDS", 20.0)  # it is not waited for
    async with http_client() as client:
        async with HttpServer(app, "127.0.0.1", 0) as server:
            await client.get(f"{server.url}/health")
            silent = await asyncio.open_connection("127.0.0.1", server.port)
            half = await asyncio.open_connection("127.0.0.1", server.port)
            half[1].write(b"GET /health HTTP/1.1\r\nHost:")
            began = time.monotonic()
        assert time.monotonic() - began < 10
        for reader, writer in (silent, half):
            assert await reader.read() == b""
            writer.close()
    async with HttpServer(app, "127.0.0.1", server.port):
        pass


@pytest.fixture
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.http.server._GRACE_SECONDS", 0.2)


async def test_it_stops_in_bounded_time_under_a_client_that_does_not_read(
    little_grace: None,
) -> None:
    async def big(_request: Request) -> Response:
        return Response(b"x" * 50_000_000)

    endless = Starlette(routes=[Route("/", big)])
    async with HttpServer(endless, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.read(1)  # the answer is on its way, and then nobody reads on
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert len(await reader.read()) < 50_000_000  # cut off, rather than left to be sent
    writer.close()


async def test_an_answer_under_way_is_finished() -> None:
    called, go = asyncio.Event(), asyncio.Event()

    async def late(_request: Request) -> Response:
        called.set()
        await go.wait()
        return Response("done")

    slow = Starlette(routes=[Route("/", late)])
    async with http_client() as client:
        async with HttpServer(slow, "127.0.0.1", 0) as server:
            answer = asyncio.create_task(client.get(server.url))
            await called.wait()
            asyncio.get_running_loop().call_later(0.3, go.set)
        assert (await answer).text == "done"


async def test_an_answer_that_does_not_come_in_time_is_a_refusal(
    caplog: pytest.LogCaptureFixture, little_grace: None
) -> None:
    called = asyncio.Event()

    async def never(_request: Request) -> Response:
        called.set()
        await asyncio.Event().wait()
        return Response()

    stuck = Starlette(routes=[Route("/", never)])
    async with http_client() as client:
        async with HttpServer(stuck, "127.0.0.1", 0) as server:
            answer = asyncio.create_task(client.get(server.url))
            await called.wait()
        assert_problem(await answer, 503, "the node stops")
        assert (await answer).headers["retry-after"] == "1"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_it_leaves_signals_alone(app: Starlette) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(app) as client:
        await client.get("/health")
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


async def test_wait_ends_with_the_server_and_may_be_cancelled(app: Starlette) -> None:
    async with HttpServer(app, "127.0.0.1", 0) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.wait(), 0.05)
        waiting = asyncio.create_task(server.wait())
        async with http_client() as client:
            assert (await client.get(f"{server.url}/health")).status_code == 200
    await asyncio.wait_for(waiting, 1)


async def test_a_crash_surfaces_in_who_waits(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(_counter: int) -> bool:
        raise RuntimeError("the server broke")

    server = HttpServer(app, "127.0.0.1", 0)
    # No input makes uvicorn's main loop fail; only its inside can be made to.
    monkeypatch.setattr(server._uvicorn, "on_tick", crash)

    async def serve() -> None:
        async with server:
            await server.wait()

    with pytest.raises(RuntimeError, match="the server broke"):
        await serve()
    async with HttpServer(app, "127.0.0.1", server.port):
        pass  # and nothing is left open


async def test_a_crash_that_nobody_waited_for_surfaces_at_the_end(app: Starlette) -> None:
    async def serve() -> None:
        async with HttpServer(app, "127.0.0.1", 0) as server:
            server._listener.close()  # before its task runs; from outside this can't be done
            await asyncio.wait([server._serving])

    with pytest.raises(OSError, match="Bad file descriptor"):
        await serve()


async def test_being_cancelled_while_it_stops_leaves_nothing_open(app: Starlette) -> None:
    server = HttpServer(app, "127.0.0.1", 0)
    await server.__aenter__()
    stopping = asyncio.create_task(server.__aexit__(None, None, None))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    async with HttpServer(app, "127.0.0.1", server.port):
        pass
