"""Fetches of an issuer's keys, over a real HTTP issuer of the test's own."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.access.errors import IssuerUnavailable
from sluice.access.issuer_fetch import IssuerFetch, usable_keys
from tests.support.cpu import cpu_time
from tests.support.issuer import ALGORITHMS, TestIssuer, answering_for_ever, running_issuer


@pytest.fixture
def provider() -> Iterator[TestIssuer]:
    with running_issuer() as issuer:
        issuer.rotate("k-1")
        yield issuer


@pytest.fixture(scope="module")
def every() -> Iterator[TestIssuer]:
    """One with a key of each kind."""
    with running_issuer(*ALGORITHMS) as issuer:
        yield issuer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": 500}, "answers 500"),
        ({"status": 302}, "answers 302"),
        ({"discovery": {"issuer": "https://e.org"}}, "is of another issuer"),
        ({"discovery": {"jwks_uri": "http://e.org/keys"}}, "has no https jwks_uri"),
        ({"discovery": {"jwks_uri": "file:///etc/passwd"}}, "has no https jwks_uri"),
        ({"discovery": {"jwks_uri": None}}, "has no https jwks_uri"),
        ({"published": {"keys": []}}, "has no key for RS256, ES256, EdDSA"),
        ({"published": {"keys": 7}}, "has no key for RS256, ES256, EdDSA"),
        ({"published": {"keys": ["x" * 300_000]}}, "has more than 262,144 bytes"),
    ],
)
def test_an_issuer_that_is_wrong_is_unavailable(
    provider: TestIssuer, change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(provider, name, value)
    fetch = IssuerFetch(provider.url)
    with pytest.raises(IssuerUnavailable, match=words):
        fetch.fetch_keys()
    provider.status, provider.discovery, provider.published = 200, {}, None
    assert [key.key_id for key in fetch.fetch_keys()] == ["k-1"], "all is fetched again"


ENDLESS = {
    "100 Continue without end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0),
    "a byte of a header now and then": (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05),
    "a byte of the body now and then": (b"HTTP/1.1 200 OK\r\n\r\n", b" ", 0.05),
    "a byte of a chunk's size now and then": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0",
        0.05,
    ),
    "nothing": (b"", b"", 0.05),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_issuer_that_comes_to_no_end_is_cut_off(case: str) -> None:
    with answering_for_ever(*ENDLESS[case]) as url:
        began = time.monotonic()
        with pytest.raises(IssuerUnavailable, match=r"takes more than 0\.5 s|timed out"):
            IssuerFetch(url, seconds=0.5).fetch_keys()
        assert time.monotonic() < began + 5


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999999999", f"http://{'a' * 64}.localhost"])
def test_an_issuer_of_no_address_is_unavailable(url: str) -> None:
    with pytest.raises(IssuerUnavailable):
        IssuerFetch(url).fetch_keys()


def test_a_private_key_is_taken_for_what_is_public_of_it(every: TestIssuer) -> None:
    """To look for the factors of 8,192 bits took 22 s; of 262,144 bytes it would never end."""
    (rs256,) = [key for key in every.key_set()["keys"] if key["kid"] == "RS256"]
    large = base64.urlsafe_b64encode(b"\xff" * 1024).decode()
    hostile = [
        {**rs256, "d": rs256["n"]},
        {**rs256, "kid": "large", "n": large, "d": large},
        {**rs256, "kid": "slow to verify", "e": rs256["n"]},
        {**rs256, "kid": "endless", "n": "_" * 200_000, "d": "_" * 200_000},
    ]
    with cpu_time() as took:
        found = usable_keys(hostile)
    assert [key.key_id for key in found] == ["RS256", "large"]
    assert took.seconds < 0.1


def test_other_keys_are_passed_over(every: TestIssuer) -> None:
    keys = every.key_set()["keys"]
    (rs256,) = [key for key in keys if key["kid"] == "RS256"]
    odd = [
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {**rs256, "alg": "RS512"},
        {**rs256, "use": "enc"},
        {**rs256, "kid": 7},
        {**rs256, "n": "AQAB"},
        {**rs256, "n": rs256["n"] * 8},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
    ]
    assert [key.key_id for key in usable_keys([*odd, *keys])] == list(ALGORITHMS)
    without = [{name: key[name] for name in key if name not in {"alg", "use"}} for key in keys]
    assert [key.algorithm_name for key in usable_keys(without)] == list(ALGORITHMS)
