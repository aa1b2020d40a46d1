"""Fetches the keys of an OpenID Connect issuer: its discovery document, then its JSON Web Key Set.

Blocks; for a thread. Invariant: each fetch is bounded in bytes and seconds, uses a URL that nobody
on the way can change, and follows no redirect.
"""

import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError

import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from sluice.access.cut_off import CutOff
from sluice.access.errors import IssuerUnavailable
from sluice.locations import is_safe_url

ALGORITHMS = ("RS256", "ES256", "EdDSA")
_WELL_KNOWN = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, section 4
_SECONDS = 5.0
_MOST_BYTES = 256 * 1024
_CHUNK_BYTES = 16 * 1024
_MOST_KEYS = 100
_RSA_BITS = range(2_048, 8_193)  # RFC 7518, 3.3; beyond them a signature costs milliseconds
_PUBLIC = ("kty", "alg", "kid", "crv", "n", "e", "x", "y")
_MOST_CHARACTERS = {"n": 1_400, "e": 43}  # in base64: somewhat more than 8,192 bits, and 256
_DISCOVERED_SECONDS = 3_600.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the library's own
        """Follow no redirect: the keys would be another host's."""


class IssuerFetch:
    """Fetches the keys; caches their URL for an hour, and looks it up again after a failure."""

    def __init__(self, issuer: str, seconds: float = _SECONDS) -> None:
        """``seconds``: how long each of the two documents may take."""
        self._issuer = issuer
        self._seconds = seconds
        self._keys_url: str | None = None
        self._discovered_at = 0.0

    def fetch_keys(self) -> list[PyJWK]:
        """The keys that sign tokens by one of ``ALGORITHMS``; at least one.

        Raises:
            IssuerUnavailable: they can't be fetched.
        """
        # Forget it until the keys are here: after a failure the document is read again.
        url, self._keys_url = self._keys_url, None
        if url is None or time.monotonic() - self._discovered_at > _DISCOVERED_SECONDS:
            url = self._discover()
            self._discovered_at = time.monotonic()
        found = usable_keys(_fetch_object(url, self._seconds).get("keys"))
        if not found:
            raise IssuerUnavailable(f"{url} has no key for {', '.join(ALGORITHMS)}")
        self._keys_url = url
        return found

    def _discover(self) -> str:
        url = self._issuer.rstrip("/") + _WELL_KNOWN
        document = _fetch_object(url, self._seconds)
        if document.get("issuer") != self._issuer:  # section 4.3: they must be identical
            raise IssuerUnavailable(f"{url} is of another issuer than SLUICE_OIDC_ISSUER")
        keys_url = document.get("jwks_uri")
        if not (isinstance(keys_url, str) and is_safe_url(keys_url)):
            raise IssuerUnavailable(f"{url} has no https jwks_uri")
        return keys_url


def usable_keys(keys: object) -> list[PyJWK]:
    """The keys of a set that sign tokens by one of ``ALGORITHMS``; others are skipped."""
    if not isinstance(keys, Sequence):
        return []
    found = (_usable_key(key) for key in keys[:_MOST_KEYS])
    return [key for key in found if key is not None]


def _usable_key(described: object) -> PyJWK | None:
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        return None
    # A private key would be factored, holding the interpreter for minutes.
    public = {name: described[name] for name in _PUBLIC if name in described}
    if any(len(str(public.get(name, ""))) > most for name, most in _MOST_CHARACTERS.items()):
        return None
    try:
        key = PyJWK(public)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if key.algorithm_name not in ALGORITHMS or not isinstance(key.key_id, str | None):
        return None
    if key.key_type == "RSA" and getattr(key.key, "key_size", 0) not in _RSA_BITS:
        return None
    return key


def _fetch_object(url: str, seconds: float) -> Mapping[str, Any]:
    with CutOff(seconds) as cut_off:
        try:
            return _parse_object(url, _fetch(url, seconds, cut_off))
        except IssuerUnavailable:
            if cut_off.is_due:  # whatever it looked like
                raise IssuerUnavailable(f"{url}: takes more than {seconds:g} s") from None
            raise


def _fetch(url: str, seconds: float, cut_off: CutOff) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - of a scheme that was checked
    opener = urllib.request.build_opener(_NoRedirect, *cut_off.handlers())
    try:
        with opener.open(request, timeout=seconds) as response:
            return _read(response)
    except HTTPError as error:
        error.close()
        raise IssuerUnavailable(f"{url} answers {error.code}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise IssuerUnavailable(f"{url}: {reason}") from None
    except (ValueError, OverflowError) as error:  # of its host or port
        raise IssuerUnavailable(f"{url}: {error}") from None


def _parse_object(url: str, text: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(text)
    except ValueError:
        raise IssuerUnavailable(f"{url} is no JSON") from None
    if not isinstance(document, dict):
        raise IssuerUnavailable(f"{url} is no JSON object")
    return document


def _read(response: HTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > _MOST_BYTES:
            raise OSError(f"has more than {_MOST_BYTES:,} bytes")
    return bytes(content)
