"""A server that takes small bodies only."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.http import World, serving_world


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_world(world, max_body_bytes=4_000) as client:
        yield client


@pytest.fixture
def quiet_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come of a body is sent on when nothing comes for a second; here sooner."""
    monkeypatch.setattr("sluice.http.bodies._QUIET_SECONDS", 0.05)
