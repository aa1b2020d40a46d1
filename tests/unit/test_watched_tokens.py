"""A token file is read again when it changes; one that is wrong changes nothing."""

from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sluice.access.askers import Asker, Role
from sluice.access.errors import TokenRefused
from sluice.access.gate import AccessGate
from sluice.access.token_file import add_token, digest_of, revoke_token
from sluice.access.watched_tokens import WatchedTokens
from tests.support.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def watched(path: Path) -> WatchedTokens:
    """It looks when a test says so."""
    add_token(path, "first", Role.USER)
    return WatchedTokens(path)


async def test_it_looks_again_and_again(path: Path) -> None:
    add_token(path, "first", Role.USER)
    async with WatchedTokens(path, look_seconds=0.001) as watched:
        for user in ("alice", "bob"):
            digest = digest_of(add_token(path, user, Role.USER).encode())
            await until(partial(watched.find, digest))


async def test_changes_hold_from_then_on(path: Path, watched: WatchedTokens) -> None:
    token = add_token(path, "alice", Role.OPERATOR)
    gate = AccessGate({}, watched)
    with pytest.raises(TokenRefused):
        await gate.asker_of(token.encode())
    await watched.look()
    asker = await gate.asker_of(token.encode())
    assert asker == Asker("alice", Role.OPERATOR, digest_of(token.encode())[:12])
    revoke_token(path, digest_of(token.encode())[:12])
    await watched.look()
    with pytest.raises(TokenRefused):
        await gate.asker_of(token.encode())


async def test_what_is_wrong_changes_nothing_and_is_a_line(
    path: Path, watched: WatchedTokens
) -> None:
    token = add_token(path, "alice", Role.USER)
    await watched.look()
    with capture_logs() as lines:
        good = replaced(path, b"broken secret")
        await looked(watched, times=3)
        replaced(path, None)
        await looked(watched, times=3)
        assert watched.find(digest_of(token.encode()))
        replaced(path, good.replace(b"alice", b"bob"))
        await looked(watched, times=3)
    found = watched.find(digest_of(token.encode()))
    assert found
    assert found.user == "bob"
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("tokens not read again", "line 1: is not of the form sha256-of-token:user:role"),
        ("tokens not read again", "can't be read: No such file or directory"),
        ("tokens read again", None),
    ], "a line for each, however often it looks"
    assert "secret" not in str(lines)


async def looked(watched: WatchedTokens, times: int) -> None:
    for _ in range(times):
        await watched.look()


def replaced(path: Path, content: bytes | None) -> bytes:
    """Give the file this content, or remove it; what it had."""
    before = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    return before


async def test_a_gate_without_a_token_lets_nobody_in_once_there_is_a_file(tmp_path: Path) -> None:
    replaced(tmp_path / "tokens", b"")
    gate = AccessGate({}, WatchedTokens(tmp_path / "tokens"))
    assert not gate.is_open
    with pytest.raises(TokenRefused):
        await gate.asker_of(b"")


def test_a_file_that_is_wrong_at_the_start_is_an_error(path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        WatchedTokens(path)
    path.write_text("junk")
    with pytest.raises(ValueError, match="line 1"):
        WatchedTokens(path)
