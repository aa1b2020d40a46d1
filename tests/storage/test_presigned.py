"""What a store answers for itself: a finished file, by a URL that was signed for a while."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from obstore.store import MemoryStore, S3Store
from structlog.testing import capture_logs

from broker.ports import LOOPBACK
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.client import open_bucket
from tests.support import object_stores
from tests.support.storages import finished, local, memory, on_store, read

CONTENT = b"a,b\r\n" + b"1,2\r\n" * 200


@pytest.mark.slow
def test_a_signed_url_answers_one_method_to_anyone_for_a_while(
    any_bucket: object_stores.Bucket, tmp_path: Path
) -> None:
    storage = on_store(any_bucket, tmp_path)()
    event = finished(storage, "a", CONTENT)
    file = storage.open_file(event)
    assert file
    get, head, short = (file.presign(*given) for given in (("GET", 60), ("HEAD", 60), ("GET", 1)))
    assert get
    assert head
    assert short
    with httpx.Client(trust_env=False) as anyone:
        whole = anyone.get(get)
        assert (whole.status_code, whole.content) == (200, CONTENT)
        assert whole.headers["content-disposition"] == 'attachment; filename="a.csv"'
        assert whole.headers["content-type"] == "text/csv; charset=utf-8"
        part = anyone.get(get, headers={"Range": "bytes=3-9"})
        assert (part.status_code, part.content) == (206, CONTENT[3:10])
        assert anyone.head(head).headers["content-length"] == str(len(CONTENT))
        assert anyone.delete(get).status_code == 403
        assert anyone.get(get.replace("/1-a/", "/2-a/")).status_code == 403
        time.sleep(2.1)
        assert anyone.get(short).status_code == 403
    assert read(storage, event) == CONTENT


def test_where_nothing_signs_there_is_no_url(tmp_path: Path) -> None:
    for opened in (local, memory):
        storage = opened(tmp_path)()
        if opened is local:
            storage.found()
        file = storage.open_file(finished(storage, "a", CONTENT))
        assert file
        assert file.presign("GET", 60) is None


def test_a_store_that_cannot_sign_says_so_once(tmp_path: Path) -> None:
    bucket = Bucket(S3Store("bucket", skip_signature=True), "s3://bucket")
    with capture_logs() as lines:
        assert [bucket.presign("a", "GET", 60) for _ in range(3)] == [None] * 3
    assert [line["event"] for line in lines] == ["links can't be signed by the store"]


def test_a_service_that_does_not_help_to_sign_is_called_once_a_minute() -> None:
    called = 0
    with socket.create_server((LOOPBACK, 0)) as server:

        def hang_up() -> None:
            nonlocal called
            with contextlib.suppress(OSError):  # until the server is closed
                while True:
                    connection, _ = server.accept()
                    called += 1
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        service = f"http://{LOOPBACK}:{server.getsockname()[1]}"
        options = {"skip_signature": "true", "metadata_endpoint": service}
        bucket = open_bucket("s3://bucket", options)
        assert bucket.presign("a", "GET", 60) is None
        before = called
        assert before
        assert [bucket.presign("a", method, 60) for method in ("GET", "HEAD")] == [None] * 2
        assert called == before
        server.shutdown(socket.SHUT_RDWR)


def test_a_store_of_none_signs_nothing() -> None:
    assert Bucket(MemoryStore(), "memory://bucket").presign("a", "GET", 60) is None
