"""A token file is read again when it changes; one that is wrong changes nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sluice.access.askers import Asker, Role
from sluice.access.errors import TokenRefused
from sluice.access.gate import AccessGate
from sluice.access.token_file import add_token, digest_of, revoke_token
from sluice.access.watched_tokens import WatchedTokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
async def watched(path: Path) -> AsyncIterator[WatchedTokens]:
    add_token(path, "first", Role.USER)
    async with WatchedTokens(path, 0.01) as watched:
        yield watched


async def until(watched: WatchedTokens, token: str, known: bool = True) -> None:
    deadline = time.monotonic() + 5
    while (watched.find(digest_of(token.encode())) is not None) != known:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_changes_hold_within_moments(path: Path, watched: WatchedTokens) -> None:
    token = add_token(path, "alice", Role.OPERATOR)
    await until(watched, token)
    gate = AccessGate({}, watched)
    asker = await gate.asker_of(token.encode())
    assert asker == Asker("alice", Role.OPERATOR, digest_of(token.encode())[:12])
    revoke_token(path, digest_of(token.encode())[:12])
    await until(watched, token, known=False)
    with pytest.raises(TokenRefused):
        await gate.asker_of(token.encode())


async def test_what_is_wrong_changes_nothing_and_is_a_line(
    path: Path, watched: WatchedTokens
) -> None:
    token = add_token(path, "alice", Role.USER)
    await until(watched, token)
    with capture_logs() as lines:
        good = replaced(path, b"broken secret")
        await until_logged(lines, "line 1: is not of the form sha256-of-token:user:role")
        replaced(path, None)
        await until_logged(lines, "can't be read: No such file or directory")
        assert watched.find(digest_of(token.encode()))
        replaced(path, good.replace(b"alice", b"bob"))
        while (found := watched.find(digest_of(token.encode()))) and found.user != "bob":
            await asyncio.sleep(0.01)
    assert [line["event"] for line in lines] == [
        *2 * ["tokens not read again"],
        "tokens read again",
    ], "a line for each, however often it looks"
    assert "secret" not in str(lines)


def replaced(path: Path, content: bytes | None) -> bytes:
    """Give the file this content, or remove it; what it had."""
    before = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    return before


async def until_logged(lines: list[MutableMapping[str, Any]], reason: str) -> None:
    deadline = time.monotonic() + 5
    while not any(line.get("reason") == reason for line in lines):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # it looks a few times more


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
