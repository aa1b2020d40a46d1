"""Fixtures of tests that have to pass on every object store there is."""

from collections.abc import Callable, Iterator

import pytest
from obstore.store import MemoryStore

from tests.support.faulty_bucket import Faulty
from tests.support.object_stores import Bucket, bucket_of
from tests.support.second_opinions import azurite, versitygw

_SECOND_OPINIONS = {"versitygw": versitygw, "azurite": azurite}


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
