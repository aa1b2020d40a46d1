"""Signatures of links: whatever is changed, they verify no more; and whose keys may be replaced."""

import subprocess
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from sluice.links import LinkKeys, link_end, link_url, parse_keys, parse_moment

OLD, NEW = "o" * 32, "n" * 40
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW = NOON.timestamp()


def test_a_signature_is_what_openssl_makes_of_it() -> None:
    command = ["openssl", "dgst", "-sha256", "-hmac", NEW]
    text = b"download\nord-2026-11\n1795867200"
    made = subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode()
    assert LinkKeys([NEW]).sign("ord-2026-11", 1_795_867_200) == made.split()[-1]


def test_the_newest_key_signs_and_any_verifies() -> None:
    old, both, new = LinkKeys([OLD]), LinkKeys([NEW, OLD]), LinkKeys([NEW])
    assert both.sign("a", 1) == new.sign("a", 1) != old.sign("a", 1)
    assert both.verify("a", 1, old.sign("a", 1))
    assert both.verify("a", 1, new.sign("a", 1))
    assert not new.verify("a", 1, old.sign("a", 1))
    assert not old.verify("a", 1, both.sign("a", 1))


def test_a_link_has_what_verifies() -> None:
    keys = LinkKeys([NEW])
    link = urlsplit(link_url("https://exports.example.org/sluice", keys, "a.b", 1_795_867_200))
    assert (link.scheme, link.netloc) == ("https", "exports.example.org")
    assert link.path == "/sluice/export/download/a.b"
    query = parse_qs(link.query)
    assert query == {"expires": ["1795867200"], "signature": [keys.sign("a.b", 1_795_867_200)]}


def test_keys_are_shown_by_nothing() -> None:
    keys = LinkKeys([NEW])
    assert NEW not in repr(keys) + str(keys)


@pytest.mark.parametrize(("keys", "strong"), [(NEW, True), (f"{NEW},short", False)])
def test_short_keys_sign_and_are_known_as_such(keys: str, strong: bool) -> None:
    link_keys = LinkKeys(parse_keys(keys))
    assert link_keys.are_strong == strong
    assert link_keys.verify("a", 1, link_keys.sign("a", 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{NEW},", "entry 2 is empty"),
        (f"{NEW} , {OLD},{NEW}", "entry 3 is given twice"),
        ("", "entry 1 is empty"),
    ],
)
def test_wrong_keys_are_named_by_their_number(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        parse_keys(text)


def test_keys_are_divided_by_commas() -> None:
    assert parse_keys(f"{NEW} , {OLD}") == [NEW, OLD]


@pytest.mark.parametrize(
    "text",
    ["", "0", "01", "-1", "+1", " 1", "1 ", "1.5", "1e3", "1_000", "\u0661", "1" * 13, "1\n"],
)
def test_what_is_no_moment(text: str) -> None:
    assert parse_moment(text) is None


def test_a_moment() -> None:
    assert parse_moment("1795867200") == 1_795_867_200


@pytest.mark.parametrize(
    ("expires_at", "end"),
    [
        (None, 60),
        (NOON + timedelta(hours=1), 60),
        (NOON + timedelta(seconds=30.9), 30),
        (NOON + timedelta(seconds=0.9), None),
        (NOON - timedelta(days=1), None),
    ],
)
def test_a_link_ends_no_later_than_its_file(expires_at: datetime | None, end: int | None) -> None:
    assert link_end(NOW + 0.5, 60, expires_at) == (None if end is None else NOW + end)
