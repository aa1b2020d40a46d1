"""Other object stores for tests, used where they are installed: versitygw (S3), Azurite (Azure).

Installed by ``go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`` and by
``npm install --global azurite@3.37.0``; without them on the PATH a test that wants them is skipped.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

from broker.ports import LOOPBACK, pick_free_port
from tests.support.npm import require_tool
from tests.support.object_stores import Bucket

_START_SECONDS = 60.0
_ACCOUNT = "sluice"


@contextlib.contextmanager
def versitygw(directory: Path) -> Iterator[Callable[[], Bucket]]:
    """What makes a new bucket of a versitygw that keeps its objects in ``directory``."""
    require_tool("versitygw")
    credentials = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
    }
    port = pick_free_port()
    options = {"endpoint": f"http://{LOOPBACK}:{port}"}
    root = {
        "ROOT_ACCESS_KEY": credentials["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": credentials["AWS_SECRET_ACCESS_KEY"],
    }
    command = ["versitygw", "--quiet", "--port", f"{LOOPBACK}:{port}", "posix", str(directory)]

    def bucket() -> Bucket:
        made = Bucket(f"s3://test-{secrets.token_hex(6)}", options, credentials)
        client = made.client()
        assert isinstance(client, S3Store)
        httpx.put(obstore.sign(client, "PUT", "", timedelta(minutes=1))).raise_for_status()
        return made

    with _running(command, port, root):
        yield bucket


@contextlib.contextmanager
def azurite(directory: Path) -> Iterator[Callable[[], Bucket]]:
    """What makes a new container of an Azurite that keeps its blobs in ``directory``."""
    require_tool("azurite-blob")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    credentials = {"AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": key}
    port = pick_free_port()
    endpoint = f"http://{LOOPBACK}:{port}/{_ACCOUNT}"
    command = ["azurite-blob", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    where = ["--blobHost", LOOPBACK, "--blobPort", str(port), "--location", str(directory)]

    def bucket() -> Bucket:
        name = f"test-{secrets.token_hex(6)}"
        _create_container(endpoint, name, key)
        return Bucket(f"az://{name}", {"endpoint": endpoint}, credentials)

    with _running([*command, *where], port, {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}):
        yield bucket


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """The server, once it listens on ``port``."""
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _listens(port):
                assert process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
        return True
    return False


def _create_container(endpoint: str, name: str, key: str) -> None:
    """PUT a container; obstore can't, and what it signs is valid within a container only.

    The signature is of "Authorize with Shared Key" (Azure Storage REST), whose string has the
    account twice where it is in the path as well.
    """
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "".join(f"{header}:{value}\n" for header, value in headers.items())
    resource = f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + signed + resource
    digest = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{signature}"
    url = f"{endpoint}/{name}?restype=container"
    httpx.put(url, headers=headers).raise_for_status()
