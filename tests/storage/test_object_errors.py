"""Why an object store refused, in a few words that show nothing of what it echoes."""

import contextlib
import os
import socket
import socketserver
import threading

import pytest

from broker.ports import LOOPBACK
from consumer.errors import StorageUnavailable
from consumer.storage.objects import bucket
from consumer.storage.objects.client import open_bucket


class _Plain(socketserver.BaseRequestHandler):
    """What a server of plain HTTP answers to a client that begins with TLS."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (
                "Generic S3 error: Server returned non-2xx status code: 503 Service Unavailable: "
                "<Error><Code>SlowDown</Code><Key>s3cr3t</Key></Error>"
            ),
            "503 Service Unavailable (SlowDown)",
        ),
        (
            (
                "non-2xx status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code>"
                "<AWSAccessKeyId>AKIA</AWSAccessKeyId>"
            ),
            "403 Forbidden (SignatureDoesNotMatch)",
        ),
        ("non-2xx status code: 500 Internal Server Error: ", "500 Internal Server Error"),
        ("HTTP error | HttpError { kind: Timeout, source: }", "it does not answer in time"),
        ("hyper: ConnectError( dns error )", "its host is not known"),
        (
            "Error performing PUT http://host/s3cr3t in 20s - HTTP error: error sending request",
            "no connection can be made, or it does not answer in time",
        ),
        ("something with s3cr3t", "ValueError"),
    ],
)
def test_errors_show_nothing_that_a_store_echoes(text: str, words: str) -> None:
    assert bucket.in_words(ValueError(text)) == words


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    options = {"endpoint": "http://127.0.0.1:1", "metadata_endpoint": "http://127.0.0.1:1"}
    with pytest.raises(StorageUnavailable, match="no credentials are set"):
        open_bucket("s3://bucket", options).read("x")


def test_what_the_client_library_panics_at_is_an_error() -> None:
    options = {"account_name": "a", "client_id": "c", "client_secret": "s", "tenant_id": "s3 cr3t"}
    bucket = open_bucket("az://container", options)
    with pytest.raises(StorageUnavailable, match="x can't be read: the client library can't work"):
        bucket.read("x")
    assert bucket.presign("x", "GET", 60) is None


def test_a_file_of_a_token_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none")
    monkeypatch.setenv("AWS_ROLE_ARN", "role")
    with pytest.raises(StorageUnavailable, match="the file of its identity's token can't be read"):
        open_bucket("s3://bucket", {"region": "eu-central-1"}).read("x")


def test_a_store_without_tls_is_named() -> None:
    with socketserver.TCPServer((LOOPBACK, 0), _Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"https://{LOOPBACK}:{server.server_address[1]}"
        options = {"endpoint": endpoint, "access_key_id": "k", "secret_access_key": "s"}
        with pytest.raises(StorageUnavailable, match="it speaks no TLS; is its endpoint http://"):
            open_bucket("s3://bucket", options).read("x")
        server.shutdown()


def test_an_endpoint_of_plain_http_may_be_a_variable_of_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    options = {"access_key_id": "k", "secret_access_key": "s"}
    # It was tried.
    with pytest.raises(StorageUnavailable, match="no connection can be made"):
        open_bucket("s3://bucket", options).read("x")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<ListBucketResult>"]
)
def test_a_store_that_hangs_up_has_words(answer: bytes) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # until the server is closed
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)

        threading.Thread(target=hang_up, daemon=True).start()
        login = {"access_key_id": "a", "secret_access_key": "b"}
        endpoint = f"http://{LOOPBACK}:{server.getsockname()[1]}"
        found = open_bucket("s3://bucket", {"endpoint": endpoint, **login})
        with pytest.raises(StorageUnavailable, match="files can't be listed: the connection broke"):
            list(found.list("files"))
        server.shutdown(socket.SHUT_RDWR)
