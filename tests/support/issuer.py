"""An OpenID Connect issuer on a real socket: discovery, keys that rotate, and tokens it signs."""

import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ALGORITHMS = ("RS256", "ES256", "EdDSA")
AUDIENCE = "sluice"
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_key(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65_537, 2_048)


class TestIssuer:
    """Its keys by their ids; what it publishes may be replaced, and it may stop and come back."""

    __test__ = False

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, PrivateKey]] = {}
        self.fetches = 0
        """Of the key set."""
        self.discoveries = 0
        self.published: dict[str, Any] | None = None
        """The key set, if it is to be another than that of ``keys``."""
        self.discovery: dict[str, Any] = {}
        """What its discovery document has differently."""
        self.status = 200
        self._port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer, on the same port as before."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(issuer._answer(self.path)).encode()
                self.send_response(issuer.status)
                if issuer.status == 302:
                    self.send_header("Location", f"{issuer.url}/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def rotate(self, key_id: str, algorithm: str = "ES256") -> None:
        """Sign by a new key from now on; the others are gone."""
        self.keys = {key_id: (algorithm, new_key(algorithm))}

    def add(self, key_id: str, algorithm: str) -> None:
        self.keys[key_id] = (algorithm, new_key(algorithm))

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Those of a right token; one that is given as None is left out."""
        now = int(time.time())
        right = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
        return {name: claim for name, claim in {**right, **claims}.items() if claim is not None}

    def token(self, key_id: str | None = None, /, **claims: Any) -> str:
        """A token by the key of this id, or by the first one."""
        key_id = key_id or next(iter(self.keys))
        algorithm, key = self.keys[key_id]
        return jwt.encode(self.claims(**claims), key, algorithm, {"kid": key_id})

    def key_set(self) -> dict[str, Any]:
        found = [self._public(key_id, *pair) for key_id, pair in self.keys.items()]
        return {"keys": found}

    def _public(self, key_id: str, algorithm: str, key: PrivateKey) -> dict[str, Any]:
        described = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
        return {**described, "kid": key_id, "use": "sig", "alg": algorithm}

    def _answer(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            self.discoveries += 1
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
        self.fetches += 1
        return self.key_set() if self.published is None else self.published


@contextmanager
def running_issuer(*algorithms: str) -> Iterator[TestIssuer]:
    """An issuer with a key of each algorithm, which bears the algorithm's name."""
    issuer = TestIssuer()
    for algorithm in algorithms:
        issuer.add(algorithm, algorithm)
    try:
        yield issuer
    finally:
        issuer.stop()


@contextmanager
def answering_for_ever(begin: bytes, more: bytes, pause_seconds: float) -> Iterator[str]:
    """The URL of what answers so, and then ``more`` again and again until it is hung up on."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(begin)
                while self.request.recv(65_536, socket.MSG_PEEK):
                    self.request.sendall(more)
                    time.sleep(pause_seconds)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
