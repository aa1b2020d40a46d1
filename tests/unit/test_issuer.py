"""Tokens of an OpenID Connect issuer, over a real HTTP one of the test's own."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sluice.access.askers import Asker, Role
from sluice.access.errors import FetchCrowded, IssuerUnavailable, TokenRefused
from sluice.access.issuer import Issuer
from sluice.access.issuer_fetch import IssuerFetch
from sluice.access.issuer_keys import IssuerKeys
from tests.support.issuer import (
    ALGORITHMS,
    AUDIENCE,
    TestIssuer,
    new_key,
    running_issuer,
)

BETWEEN_SECONDS = 0.05


@pytest.fixture(scope="module")
def every() -> Iterator[TestIssuer]:
    """One that nobody changes, with a key of each kind."""
    with running_issuer(*ALGORITHMS) as issuer:
        yield issuer


@pytest.fixture
def provider() -> Iterator[TestIssuer]:
    with running_issuer() as issuer:
        issuer.rotate("k-1")
        yield issuer


@asynccontextmanager
async def verifier_of(
    provider: TestIssuer, doubt_seconds: float = 15.0, **more: Any
) -> AsyncIterator[Issuer]:
    url = provider.url
    fetch = IssuerFetch(url).fetch_keys
    async with IssuerKeys(url, fetch, BETWEEN_SECONDS, doubt_seconds=doubt_seconds) as keys:
        yield Issuer(url, AUDIENCE, keys, **more)


async def refused(verifier: Issuer, token: str | bytes) -> str:
    with pytest.raises(TokenRefused) as caught:
        await verifier.asker_of(token.encode() if isinstance(token, str) else token)
    return str(caught.value)


# Who it is


async def test_a_token_of_each_algorithm_is_its_users(every: TestIssuer) -> None:
    async with verifier_of(every) as verifier:
        for algorithm in ALGORITHMS:
            token = every.token(algorithm, sub=f"by {algorithm}", aud=["other", AUDIENCE])
            asker = await verifier.asker_of(token.encode())
            assert asker == Asker(f"by {algorithm}", Role.USER, "jwt")


@pytest.mark.parametrize(
    ("named", "claims", "role"),
    [
        ("role", {"role": "operator"}, Role.OPERATOR),
        ("role", {"role": "user"}, Role.USER),
        ("role", {"role": "operators"}, Role.USER),
        ("role", {}, Role.USER),
        ("roles", {"roles": ["user", "operator"]}, Role.OPERATOR),
        ("roles", {"roles": [["operator"]]}, Role.USER),
        ("roles", {"roles": {"operator": True}}, Role.USER),
        ("scope", {"scope": "openid operator"}, Role.OPERATOR),
        ("realm_access.roles", {"realm_access": {"roles": ["operator"]}}, Role.OPERATOR),
        ("realm_access.roles", {"realm_access": ["operator"]}, Role.USER),
        ("https://e.org/roles", {"https://e.org/roles": ["operator"]}, Role.OPERATOR),
        (None, {"role": "operator", "roles": ["operator"]}, Role.USER),
    ],
)
async def test_the_role_is_in_a_claim(
    every: TestIssuer, named: str | None, claims: dict[str, Any], role: Role
) -> None:
    async with verifier_of(every, role_claim=named) as verifier:
        assert (await verifier.asker_of(every.token(**claims).encode())).role is role


async def test_the_user_is_in_a_claim(every: TestIssuer) -> None:
    async with verifier_of(every, user_claim="email") as verifier:
        asker = await verifier.asker_of(every.token(email="a@e.org").encode())
        assert asker.user == "a@e.org"
        for wrong in (None, "", "a\nb", 7, ["a"], "x" * 300):
            words = "names no user in the claim email"
            assert await refused(verifier, every.token(email=wrong)) == words


# Forged and stale ones


def part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def with_public_key_as_secret(issuer: TestIssuer) -> str:
    """The oldest trick: HS256, whose secret is the public key."""
    public = issuer.keys["RS256"][1].public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'RS256'})}.{part(issuer.claims())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def by_another(issuer: TestIssuer, algorithm: str = "ES256", **header: Any) -> str:
    return jwt.encode(issuer.claims(), new_key(algorithm), algorithm, {"kid": algorithm, **header})


def tampered(issuer: TestIssuer) -> str:
    head, _, signature = issuer.token("ES256").split(".")
    return f"{head}.{part(issuer.claims(sub='mallory'))}.{signature}"


NOW = int(time.time())
OTHERS = f"is not signed by {', '.join(ALGORITHMS)}"
NO_KEY = "is signed by no key of the issuer"
FORGED: dict[str, tuple[Callable[[TestIssuer], str], str]] = {
    "alg none": (lambda one: jwt.encode(one.claims(), "", "none"), OTHERS),
    "alg None": (lambda one: f"{part({'alg': 'None'})}.{part(one.claims())}.", OTHERS),
    "no alg": (lambda one: f"{part({})}.{part(one.claims())}.", OTHERS),
    "alg a list": (lambda one: f"{part({'alg': ['ES256']})}.{part(one.claims())}.", OTHERS),
    "HS256 with the public key": (with_public_key_as_secret, OTHERS),
    "RS512": (
        lambda one: jwt.encode(one.claims(), one.keys["RS256"][1], "RS512", {"kid": "RS256"}),
        OTHERS,
    ),
    "another key": (by_another, "has a wrong signature"),
    "a key of its own": (
        lambda one: by_another(one, jwk={"kty": "oct"}, jku="http://127.0.0.1/keys"),
        "has a wrong signature",
    ),
    "tampered": (tampered, "has a wrong signature"),
    "another key's id": (
        lambda one: jwt.encode(one.claims(), one.keys["RS256"][1], "RS256", {"kid": "ES256"}),
        NO_KEY,
    ),
    "wrong kid": (lambda one: by_another(one, kid="unknown"), NO_KEY),
    "kid a path": (lambda one: by_another(one, kid="../../dev/null"), NO_KEY),
    "kid a number": (
        lambda one: f"{part({'alg': 'ES256', 'kid': 7})}.{part(one.claims())}.",
        "is malformed",
    ),
    "another audience": (lambda one: one.token(aud="other"), "is for another audience"),
    "another audience of many": (lambda one: one.token(aud=["a", "b"]), "is for another audience"),
    "no audience": (lambda one: one.token(aud=None), "has no claim aud"),
    "another issuer": (lambda one: one.token(iss="https://e.org"), "is of another issuer"),
    "issuer with a slash": (lambda one: one.token(iss=f"{one.url}/"), "is of another issuer"),
    "no issuer": (lambda one: one.token(iss=None), "has no claim iss"),
    "expired": (lambda one: one.token(exp=NOW - 60), "has expired"),
    "no end": (lambda one: one.token(exp=None), "has no claim exp"),
    "end of no time": (lambda one: one.token(exp="never"), "is malformed"),
    "end beyond numbers": (
        lambda one: signed_text(one, '"exp": 1e999'),
        "is malformed",
    ),
    "not yet": (lambda one: one.token(nbf=NOW + 3600), "is not valid yet"),
    "made in future": (lambda one: one.token(iat=NOW + 3600), "is not valid yet"),
    "no user": (lambda one: one.token(sub=None), "names no user in the claim sub"),
    "claims a list": (lambda one: signed_text(one, None), "is malformed"),
    "garbage": (lambda _: "a.b.c", "is malformed"),
    "dots": (lambda _: "..", "is malformed"),
    "deep header": (lambda _: f"{part(b'[' * 5_000)}.{part({})}.", "is malformed"),
    "huge number": (lambda _: f"{part(b'9' * 5_000)}.{part({})}.", "is malformed"),
    "huge": (lambda one: one.token(more="x" * 9_000), "is longer than 8,192 bytes"),
    "critical extension": (
        lambda one: jwt.encode(
            one.claims(), one.keys["ES256"][1], "ES256", {"kid": "ES256", "crit": ["x"], "x": 1}
        ),
        "is malformed",
    ),
}


def signed_text(issuer: TestIssuer, more: str | None) -> str:
    """Properly signed: the claims with this text among them; None: a list of them."""
    claims = json.dumps(issuer.claims(exp=None))
    text = f"[{claims}]" if more is None else f"{claims[:-1]}, {more}}}"
    return jwt.api_jws.encode(text.encode(), issuer.keys["ES256"][1], "ES256", {"kid": "ES256"})


@pytest.fixture(scope="module")
async def strict(every: TestIssuer) -> AsyncIterator[Issuer]:
    async with verifier_of(every) as verifier:
        yield verifier


@pytest.mark.parametrize("forgery", FORGED)
async def test_forged_and_stale_tokens_are_refused_and_say_why(
    every: TestIssuer, strict: Issuer, forgery: str
) -> None:
    make, words = FORGED[forgery]
    token = make(every)
    assert await refused(strict, token) == words
    assert (await strict.asker_of(every.token("ES256").encode())).user == "alice"


async def test_bytes_that_are_no_text_are_refused(strict: Issuer) -> None:
    assert await refused(strict, b"\xff.\xff.\xff") == "is malformed"


async def test_clocks_may_differ_by_seconds(every: TestIssuer, strict: Issuer) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 2}, {"nbf": now + 3, "iat": now + 3}):
        assert await strict.asker_of(every.token("ES256", **claims).encode())


# Its keys


async def test_a_new_key_is_known_at_the_first_token(provider: TestIssuer) -> None:
    async with verifier_of(provider) as verifier:
        old = provider.token()
        assert await verifier.asker_of(old.encode())
        fetches = provider.fetches
        assert await verifier.asker_of(old.encode())
        assert provider.fetches == fetches, "keys are kept"
        provider.rotate("k-2")
        assert await verifier.asker_of(provider.token().encode())
        assert await refused(verifier, old) == NO_KEY, "the key was withdrawn"
        assert provider.discoveries == 1


async def test_a_key_id_may_be_used_again_for_another_key(provider: TestIssuer) -> None:
    async with verifier_of(provider, doubt_seconds=0.0) as verifier:
        old = provider.token()
        assert await verifier.asker_of(old.encode())
        provider.rotate("k-1")
        new = provider.token().encode()
        found = await asyncio.gather(*(verifier.asker_of(new) for _ in range(10)))
        assert {asker.user for asker in found} == {"alice"}
        assert await refused(verifier, old) == "has a wrong signature"


async def test_forged_signatures_make_few_fetches_and_nobody_waits(provider: TestIssuer) -> None:
    async with verifier_of(provider, doubt_seconds=1.0) as verifier:
        right = provider.token().encode()
        await verifier.asker_of(right)
        before, began = provider.fetches, time.monotonic()
        forged = by_another(provider, kid="k-1")
        for _ in range(50):
            assert await refused(verifier, forged) == "has a wrong signature"
            assert await verifier.asker_of(right)
        assert provider.fetches - before <= 1 + (time.monotonic() - began) / 1.0


async def test_unknown_keys_fetch_at_a_bounded_rate(provider: TestIssuer) -> None:
    async with verifier_of(provider) as verifier:
        await verifier.asker_of(provider.token().encode())
        before, began = provider.fetches, time.monotonic()
        tokens = [by_another(provider, kid=f"no-{number}") for number in range(100)]
        reasons = await asyncio.gather(*(refused(verifier, token) for token in tokens))
        assert set(reasons) == {NO_KEY}
        seconds = time.monotonic() - began
        assert provider.fetches - before <= 2 + seconds / BETWEEN_SECONDS
        assert provider.fetches - before <= 3, "those that come at once share one"


async def test_of_a_flood_of_unknown_keys_few_wait_and_known_keys_are_served(
    provider: TestIssuer,
) -> None:
    fetch = IssuerFetch(provider.url)
    async with IssuerKeys(provider.url, fetch.fetch_keys, between_seconds=1.0) as keys:
        verifier = Issuer(provider.url, AUDIENCE, keys)
        right = provider.token().encode()
        assert await verifier.asker_of(right)
        tokens = [by_another(provider, kid=f"no-{number}").encode() for number in range(1_000)]
        flood = [asyncio.create_task(verifier.asker_of(token)) for token in tokens]
        await asyncio.sleep(0.01)
        crowded = [task for task in flood if task.done()]
        assert len(crowded) == 900
        assert {type(task.exception()) for task in crowded} == {FetchCrowded}
        assert await verifier.asker_of(right)
        found = await asyncio.gather(*flood, return_exceptions=True)
        assert sum(isinstance(one, TokenRefused) for one in found) == 100, "they were looked at"
        # Those whose clients give up make room as well.
        flood = [asyncio.create_task(verifier.asker_of(token)) for token in tokens]
        await asyncio.sleep(0.01)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert await refused(verifier, by_another(provider, kid="no")) == NO_KEY


async def test_a_stopped_issuer_keeps_its_keys(provider: TestIssuer) -> None:
    async with verifier_of(provider) as verifier:
        token, unknown = provider.token(), by_another(provider, kid="unknown")
        await verifier.asker_of(token.encode())
        provider.stop()
        assert await refused(verifier, unknown) == NO_KEY
        assert await verifier.asker_of(token.encode())
        provider.start()
        provider.rotate("k-2")
        assert await verifier.asker_of(provider.token().encode())


async def test_without_any_keys_nothing_can_be_judged(provider: TestIssuer) -> None:
    token = provider.token()
    provider.stop()
    async with verifier_of(provider) as verifier:
        with pytest.raises(IssuerUnavailable):
            await verifier.asker_of(token.encode())
        provider.start()
        assert await verifier.asker_of(token.encode())


async def test_a_token_without_an_id_needs_the_only_key_of_its_kind(provider: TestIssuer) -> None:
    async with verifier_of(provider) as verifier:
        token = jwt.encode(provider.claims(), provider.keys["k-1"][1], "ES256")
        assert await verifier.asker_of(token.encode())
        provider.add("k-2", "ES256")
        assert await verifier.asker_of(provider.token("k-2").encode())
        assert await refused(verifier, token) == NO_KEY
