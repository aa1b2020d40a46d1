"""The embedded object store: what it keeps, whom it serves. The command's manners are in
``test_embedded.py``.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import ObjectStore

from broker.errors import ServerError
from broker.store import EmbeddedStore
from tests.support.foreground import first_line, foreground
from tests.support.object_stores import Bucket, bucket_of

pytestmark = pytest.mark.slow

KILLS = 2
WRITERS = 4
# Reads the environment that a shell has after running what the command prints.
CLIENT = """
import obstore, os
from obstore.store import from_url
options = dict(pair.split("=", 1) for pair in os.environ["SLUICE_STORAGE_OPTIONS"].split(","))
store = from_url(
    os.environ["SLUICE_STORAGE_URL"], config=options, client_options={"allow_http": True}
)
obstore.put(store, "hello", b"there", mode="create")
print(bytes(obstore.get(store, "hello").bytes()).decode())
"""


def test_an_object_is_created_once(bucket: Bucket) -> None:
    client = bucket.client()
    obstore.put(client, "a/ş=b", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(client, "a/ş=b", b"second", mode="create")
    assert content(client, "a/ş=b") == b"first"


def content(client: ObjectStore, key: str) -> bytes:
    return bytes(obstore.get(client, key).bytes())


def test_what_is_signed_with_another_secret_is_refused(bucket: Bucket) -> None:
    stranger = bucket.client(aws_secret_access_key="another")  # noqa: S106 - is what is refused
    with pytest.raises(PermissionDeniedError, match=r"403 Forbidden.*SignatureDoesNotMatch"):
        obstore.put(stranger, "a", b"")
    unknown = bucket.client(aws_access_key_id="another")
    with pytest.raises(PermissionDeniedError, match=r"403 Forbidden.*InvalidAccessKeyId"):
        obstore.get(unknown, "a")
    assert obstore.list(bucket.client()).collect() == []


def test_what_is_not_signed_is_refused(bucket: Bucket) -> None:
    obstore.put(bucket.client(), "a", b"secret")
    endpoint = bucket.options["endpoint"]
    name = bucket.url.removeprefix("s3://")
    for path in ("", name, f"{name}/a"):
        assert httpx.get(f"{endpoint}/{path}").status_code == 403
    assert httpx.put(f"{endpoint}/{name}/b", content=b"").status_code == 403


def test_an_upload_in_parts_keeps_its_attributes(bucket: Bucket) -> None:
    attributes = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="a.csv"',
    }
    client = bucket.client()
    piece = os.urandom(1 << 20)
    with obstore.open_writer(client, "files/a", attributes=attributes, buffer_size=5 << 20) as part:
        for _ in range(11):
            part.write(piece)
    found = obstore.get(client, "files/a")
    assert found.attributes == attributes
    assert bytes(found.bytes()) == piece * 11


@pytest.mark.long
async def test_it_survives_more_large_requests_at_once_than_its_memory_holds(
    bucket: Bucket,
) -> None:
    body = os.urandom(8 << 20)
    clients = [bucket.client() for _ in range(64)]
    await asyncio.gather(
        *(
            obstore.put_async(client, f"{number}", body, mode="create")
            for number, client in enumerate(clients)
        )
    )
    assert len(obstore.list(clients[0]).collect()) == len(clients)


async def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    # A path that is awkward for class paths, properties files and ASCII locales.
    store = EmbeddedStore(tmp_path / "a b, ş=\\: #1")
    acknowledged: dict[str, bytes] = {}
    try:
        store.start()
        bucket = bucket_of(store)
        for life in range(KILLS):
            writers = [
                asyncio.create_task(write(bucket, f"{life}/{writer}", acknowledged))
                for writer in range(WRITERS)
            ]
            before = len(acknowledged)
            while len(acknowledged) < before + 40:
                await asyncio.sleep(0.01)
            store.kill()
            await asyncio.gather(*writers)
            # In this thread, as its children end with the thread that started them.
            store.start()  # on the same port, with the same credentials
            client = bucket.client()
            for key, written in acknowledged.items():
                assert content(client, key) == written
    finally:
        store.stop()
    assert len(acknowledged) >= 40 * KILLS


async def write(bucket: Bucket, prefix: str, acknowledged: dict[str, bytes]) -> None:
    """Create objects of either kind until the store is gone."""
    client = bucket.client()
    for number in range(10_000):
        key, written = f"{prefix}/{number}", os.urandom(700)
        try:
            if number % 10 == 9:
                await obstore.put_async(
                    client, key, written, use_multipart=True, chunk_size=5 << 20
                )
            else:
                await obstore.put_async(client, key, written, mode="create")
        except BaseError:
            return
        acknowledged[key] = written
    raise AssertionError("the store was not killed")


def test_a_shell_that_runs_what_it_prints_reaches_it(tmp_path: Path) -> None:
    directory = ("--data-dir", str(tmp_path / "data"))
    with foreground("store", "--port", "0", "--bucket", "exports", *directory) as process:
        assert process.stdout is not None
        lines = [first_line(process)] + [process.stdout.readline() for _ in range(4)]
        done = subprocess.run(
            ["sh", "-c", f'{"".join(lines)}exec "$0" -c "$1"', sys.executable, CLIENT],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
        process.terminate()
        rest, errors = process.communicate(timeout=15)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_credentials_that_were_written_before_the_start_are_taken(tmp_path: Path) -> None:
    chosen = {"access_key_id": "me", "secret_access_key": "\\'\"=:#$!"}
    (tmp_path / "credentials.json").write_text(json.dumps(chosen))
    with EmbeddedStore(tmp_path) as store:
        assert store.credentials.access_key_id == "me"
        obstore.put(bucket_of(store).client(), "a", b"")


def test_nobody_else_may_read_its_secret_and_its_log_has_none(object_store: EmbeddedStore) -> None:
    directory = object_store.log_path.parent
    secret = object_store.credentials.secret_access_key
    holders = [
        path for path in directory.iterdir() if path.is_file() and secret in path.read_text()
    ]
    assert sorted(path.name for path in holders) == ["credentials.json", "server.properties"]
    assert {path.stat().st_mode & 0o077 for path in holders} == {0}


def test_a_bucket_that_s3_cannot_have_is_wrong_use(tmp_path: Path) -> None:
    with foreground("store", "--bucket", "A", "--data-dir", str(tmp_path / "data")) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("sluice: --bucket: S3 has no bucket named 'A': ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_credentials_that_cannot_be_read_are_named_without_their_content(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"access_key_id": "a"}', '{"access_key_id": "a b", "x": 1}'):
        (tmp_path / "credentials.json").write_text(text)
        with pytest.raises(ServerError) as refused:
            EmbeddedStore(tmp_path).start()
        assert str(refused.value) == (
            f"{tmp_path}/credentials.json has to hold one JSON object with the strings "
            "access_key_id and secret_access_key; remove it to have new ones made"
        )
