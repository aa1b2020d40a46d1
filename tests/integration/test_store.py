"""The embedded object store as real processes: started, restarted, interrupted, killed, refused."""

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError

from tests.support.object_stores import Bucket


def test_an_object_is_created_once(bucket: Bucket) -> None:
    client = bucket.client()
    obstore.put(client, "a/ş=b", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(client, "a/ş=b", b"second", mode="create")
    assert bytes(obstore.get(client, "a/ş=b").bytes()) == b"first"
