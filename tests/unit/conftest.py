"""A node's HTTP server, and what it serves, for the tests of its parts."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.http import World, serving_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_world(world) as client:
        yield client
