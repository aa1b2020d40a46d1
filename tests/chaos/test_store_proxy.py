"""The way of a storm to its object store: it passes on what it gets, and fails as a test wants."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from broker.store import EmbeddedStore
from tests.chaos.store_proxy import StoreProxy, Weather
from tests.support.object_stores import Bucket

pytestmark = pytest.mark.slow

SLOW_SECONDS = 0.5


@pytest.fixture
async def proxy(object_store: EmbeddedStore) -> AsyncIterator[StoreProxy]:
    async with StoreProxy(lambda: object_store.port, SLOW_SECONDS) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: StoreProxy, bucket: Bucket) -> ObjectStore:
    """A client whose way to the bucket is the proxy."""
    return replace(bucket, options={**bucket.options, "endpoint": proxy.endpoint}).client()


async def create(client: ObjectStore, key: str) -> None:
    await obstore.put_async(client, key, key.encode(), mode="create")


def found(bucket: Bucket, key: str) -> bytes:
    return bytes(obstore.get(bucket.client(), key).bytes())


async def test_it_passes_on_what_it_gets(
    proxy: StoreProxy, client: ObjectStore, bucket: Bucket
) -> None:
    body = os.urandom(6 << 20)
    await obstore.put_async(client, "large", body, chunk_size=5 << 20)
    read = await (await obstore.get_async(client, "large")).bytes_async()
    assert bytes(read) == body == await asyncio.to_thread(found, bucket, "large")
    await asyncio.gather(*(create(client, f"a/{number}") for number in range(20)))
    with pytest.raises(AlreadyExistsError):
        await create(client, "a/1")
    listed = await obstore.list(client, "a").collect_async()
    assert len(listed) == 20
    with pytest.raises(FileNotFoundError):
        await obstore.head_async(client, "none")
    assert proxy.struck == 0


async def test_it_refuses(proxy: StoreProxy, client: ObjectStore, bucket: Bucket) -> None:
    proxy.weather = Weather.REFUSES
    for status in ("503", "500"):
        with pytest.raises(BaseError, match=status):
            await create(client, "a")
    proxy.weather = Weather.PASSES
    await create(client, "a")
    assert (proxy.struck, found(bucket, "a")) == (2, b"a")


async def test_it_is_slow(proxy: StoreProxy, client: ObjectStore) -> None:
    proxy.weather = Weather.SLOW
    began = time.monotonic()
    await create(client, "a")
    assert time.monotonic() - began >= SLOW_SECONDS
    assert proxy.struck == 1


async def test_it_loses_answers_to_what_is_created(
    proxy: StoreProxy, client: ObjectStore, bucket: Bucket
) -> None:
    proxy.weather = Weather.LOSES
    with pytest.raises(BaseError):
        await create(client, "a")
    await obstore.put_async(client, "b", b"not only if it isn't there")
    assert proxy.struck == 1
    assert await asyncio.to_thread(found, bucket, "a") == b"a"
