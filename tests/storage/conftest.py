"""Fixtures of tests that have to pass on every storage, or every object store, there is."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from obstore.store import MemoryStore

from consumer.storage.base import GroupStorage
from tests.support.faulty_bucket import Faulty
from tests.support.object_stores import Bucket, bucket_of
from tests.support.second_opinions import azurite, versitygw
from tests.support.storages import Opened, local, memory, on_store

_SECOND_OPINIONS = {"versitygw": versitygw, "azurite": azurite}
STORES = ("s3proxy", *_SECOND_OPINIONS)
STORAGES = {"local": local, "memory": memory}
# Each is a server of its own.
_STORES_SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in STORES]
MakeBucket: TypeAlias = Callable[[], Bucket]


@pytest.fixture(scope="session")
def makers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], MakeBucket]]:
    """What makes buckets of an object store, by its name; skips where it isn't installed."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def maker(name: str) -> MakeBucket:
            if name == "s3proxy":
                store = request.getfixturevalue("object_store")
                return lambda: bucket_of(store)
            return running.enter_context(_SECOND_OPINIONS[name](tmp_path_factory.mktemp(name)))

        yield maker


@pytest.fixture(scope="session", params=_STORES_SLOWLY)
def make_bucket(request: pytest.FixtureRequest, makers: Callable[[str], MakeBucket]) -> MakeBucket:
    """What makes a bucket of each object store in turn."""
    return makers(request.param)


@pytest.fixture
def any_bucket(make_bucket: MakeBucket) -> Bucket:
    """An empty bucket of each object store in turn."""
    return make_bucket()


@pytest.fixture
def faulty() -> Faulty:
    """An empty bucket in memory that fails as a test wants."""
    return Faulty(MemoryStore())


@pytest.fixture(params=[*STORAGES, *_STORES_SLOWLY])
def another(
    request: pytest.FixtureRequest, makers: Callable[[str], MakeBucket], tmp_path: Path
) -> Iterator[Opened]:
    """Opens the storage as a further process."""
    if request.param in STORES:
        open_one = on_store(makers(request.param)(), tmp_path)
    else:
        open_one = STORAGES[request.param](tmp_path)
    with contextlib.ExitStack() as opened:

        def another_one() -> GroupStorage:
            return opened.enter_context(contextlib.closing(open_one()))

        yield another_one


@pytest.fixture
def storage(another: Opened) -> GroupStorage:
    """The storage, ready to be written."""
    opened = another()
    opened.check()
    return opened
