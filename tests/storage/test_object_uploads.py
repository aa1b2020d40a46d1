"""Uploads that nobody ended, on a real S3 server."""

from pathlib import Path

import obstore
import pytest
from structlog.testing import capture_logs

from consumer.storage.objects.client import open_bucket
from consumer.storage.objects.storage import ObjectStorage
from tests.support import object_stores
from tests.support.storages import PARTITION, on_store


def test_uploads_that_nobody_ended_are_aborted(
    bucket: object_stores.Bucket, tmp_path: Path
) -> None:
    another = on_store(bucket, tmp_path)
    dead, ours = another(), another()
    assert isinstance(dead, ObjectStorage)
    attempt = dead._attempts.begin(PARTITION, "a", "a.csv")
    attempt.announce()
    writer = obstore.open_writer(
        bucket.client(), f"deep/prefix/{attempt.name}", buffer_size=5 * 1024 * 1024
    )
    writer.write(bytes(11 * 1024 * 1024))
    del writer  # as a process that is killed leaves it
    uploads = dead._bucket._uploads
    assert uploads is not None
    ours.sweep(PARTITION + 1)
    assert ours.sweep(PARTITION) == 0
    assert uploads.abort("deep/prefix/files") == 0


@pytest.mark.slow
def test_uploads_elsewhere_are_left_alone(bucket: object_stores.Bucket, tmp_path: Path) -> None:
    storage = on_store(bucket, tmp_path)()
    assert isinstance(storage, ObjectStorage)
    writer = obstore.open_writer(
        bucket.client(), "deep/prefix/files/33/a/1-b/b&c.csv", buffer_size=5 * 1024 * 1024
    )
    writer.write(bytes(11 * 1024 * 1024))
    uploads = storage._bucket._uploads
    assert uploads is not None
    assert uploads.abort("deep/prefix/files/3") == 0
    assert uploads.abort("deep/prefix/files/33/a") == 1
    assert uploads.abort("deep/prefix/files/33/a") == 0
    with pytest.raises(Exception, match="NoSuchUpload"):
        writer.close()


@pytest.mark.slow
def test_a_store_that_shows_no_uploads_is_swept_all_the_same(bucket: object_stores.Bucket) -> None:
    options = {"access_key_id": bucket.credentials["AWS_ACCESS_KEY_ID"], **bucket.options}
    stranger = open_bucket(bucket.url, {**options, "secret_access_key": "wrong"})
    with capture_logs() as logs:
        assert [stranger.abort_uploads("files") for _ in range(2)] == [0, 0]
    assert logs == [
        {"event": "abandoned uploads can't be looked for", "log_level": "warning", "error": "403"}
    ]


def test_a_client_that_can_sign_nothing_sweeps_all_the_same() -> None:
    """As with a store that needs no signatures."""
    nobody = {"skip_signature": "true", "metadata_endpoint": "http://127.0.0.1:1"}
    bucket = open_bucket("s3://bucket", {"endpoint": "http://127.0.0.1:1", **nobody})
    with capture_logs() as logs:
        assert [bucket.abort_uploads("files") for _ in range(2)] == [0, 0]
    assert [line["event"] for line in logs] == ["abandoned uploads can't be looked for"]
