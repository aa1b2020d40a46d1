"""Fixtures of tests that have to pass on every storage, or every object store, there is."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from consumer.storage.base import GroupStorage
from tests.support.faulty_bucket import Faulty
from tests.support.object_stores import Bucket, bucket_of
from tests.support.second_opinions import azurite, versitygw
from tests.support.storages import Opened, local, memory, s3proxy

_SECOND_OPINIONS = {"versitygw": versitygw, "azurite": azurite}
STORAGES = {"local": local, "memory": memory}
"""Beside these, S3Proxy."""


@pytest.fixture(scope="session", params=["s3proxy", *_SECOND_OPINIONS])
def make_bucket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Bucket]]:
    """What makes a bucket of each object store in turn; skips those that aren't installed."""
    if request.param == "s3proxy":
        store = request.getfixturevalue("object_store")
        yield lambda: bucket_of(store)
    else:
        with _SECOND_OPINIONS[request.param](tmp_path_factory.mktemp(request.param)) as make:
            yield make


@pytest.fixture
def any_bucket(make_bucket: Callable[[], Bucket]) -> Bucket:
    """An empty bucket of each object store in turn."""
    return make_bucket()


@pytest.fixture
def faulty() -> Faulty:
    """An empty bucket in memory that fails as a test wants."""
    return Faulty(MemoryStore())


@pytest.fixture(params=[*STORAGES, "s3proxy"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens the storage as a further process."""
    if request.param == "s3proxy":
        open_one = s3proxy(request.getfixturevalue("bucket"), tmp_path)
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
