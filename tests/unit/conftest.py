"""What tests of several modules stand on: a node's HTTP server, a storage in a bucket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from consumer.formats.base import Encoders
from consumer.formats.native import PythonEncoders, find_encoders
from tests.support.apart import ApartStorage, Store
from tests.support.http import World, serving_world
from tests.support.native import leave_out


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_world(world) as client:
        yield client


@pytest.fixture(params=["python", "native"])
def encoders(request: pytest.FixtureRequest) -> Encoders:
    """Each of the two ways from a batch to bytes, where native encoders are built."""
    found = find_encoders() if request.param == "native" else PythonEncoders()
    if found.name != request.param:
        leave_out()
    return found


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def storage(store: Store, tmp_path: Path) -> ApartStorage:
    return ApartStorage(store, tmp_path)
