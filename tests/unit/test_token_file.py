"""The token file: what a line may be, and how it is changed."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.access.askers import Role
from sluice.access.token_file import (
    KnownToken,
    add_token,
    digest_of,
    parse_tokens,
    read_tokens,
    revoke_token,
)

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def known(path: Path) -> list[KnownToken]:
    return parse_tokens(read_tokens(path))


def test_a_line_is_hash_user_and_role() -> None:
    content = f"# ours\n\n{ONE}:alice:user\r\n  {TWO}:team:älice:operator"
    assert parse_tokens(content.encode()) == [
        KnownToken(ONE, "alice", Role.USER),
        KnownToken(TWO, "team:älice", Role.OPERATOR),
    ]


FORM = "is not of the form sha256-of-token:user:role"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"secret", FORM),
        (b"secret:alice:user", FORM),
        (ONE.encode() + b":alice", FORM),
        (b"A" * 64 + b":alice:user", FORM),
        (ONE.encode() + b"::user", "has a user that is empty, too long or no text"),
        (ONE.encode() + b":a\x1bb:user", "has a user that is empty, too long or no text"),
        (ONE.encode() + b":" + b"x" * 257 + b":user", "has a user that is empty, too long"),
        (ONE.encode() + b":alice:admin", "has a role other than user and operator"),
        (ONE.encode() + b":\xff:user", "is not UTF-8"),
        (TWO.encode() + b":bob:user", "has the hash of an earlier line"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(line: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_tokens(f"{TWO}:alice:user\n".encode() + line)
    assert str(caught.value).startswith("line 2: ")
    assert "secret" not in str(caught.value)


def test_a_huge_file_is_none(path: Path) -> None:
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ValueError, match="has more than 1,048,576 bytes"):
        known(path)


def test_a_token_is_in_the_file_by_its_hash_alone(path: Path) -> None:
    token = add_token(path, "alice", Role.OPERATOR)
    assert known(path) == [KnownToken(digest_of(token.encode()), "alice", Role.OPERATOR)]
    assert token not in path.read_text()
    assert len(token) >= 43, "256 bits"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["tokens"]


def test_what_people_wrote_stays(path: Path) -> None:
    path.write_text(f"# ours\n{ONE}:alice:user")
    path.chmod(0o644)
    add_token(path, "bob", Role.USER)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# ours", f"{ONE}:alice:user"]
    assert lines[2].endswith(":bob:user")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (revoked,) = revoke_token(path, ONE[:12])
    assert revoked.user == "alice"
    assert path.read_text().splitlines() == ["# ours", lines[2]]
    assert revoke_token(path, ONE[:12]) == []


def test_a_broken_file_is_left_as_it_is(path: Path) -> None:
    path.write_text("broken\n")
    with pytest.raises(ValueError, match="line 1"):
        add_token(path, "alice", Role.USER)
    with pytest.raises(ValueError, match="line 1"):
        revoke_token(path, ONE[:12])
    assert path.read_text() == "broken\n"
    assert [one.name for one in path.parent.iterdir()] == ["tokens"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "tokens"
    link.symlink_to(tmp_path / "real" / "tokens")
    add_token(link, "alice", Role.USER)
    assert link.is_symlink()
    assert len(known(tmp_path / "real" / "tokens")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_file_stays_its_owners(path: Path) -> None:
    path.write_text("")
    os.chown(path, 1234, 1235)
    add_token(path, "alice", Role.USER)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_of_changes_at_once_none_is_lost(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda n: add_token(path, f"u-{n}", Role.USER), range(40)))
    assert {one.digest for one in known(path)} == {digest_of(token.encode()) for token in tokens}
