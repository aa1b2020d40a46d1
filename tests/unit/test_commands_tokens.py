"""``sluice tokens``: the commands, and that a token of theirs is one."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.__main__ import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path) -> Call:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_API_TOKENS_FILE", str(file))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sluice", "tokens", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, output, errors

    return call


def test_a_token_is_made_listed_and_revoked(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("list") == (0, "", "")
    code, output, errors = call("create", "--user", "alice")
    assert (code, errors) == (0, "")
    (token,) = output.splitlines()
    token_id = hashlib.sha256(token.encode()).hexdigest()[:12]
    assert call("create", "--user", "team:ops", "--role", "operator")[0] == 0
    _, listed, _ = call("list")
    first, second = (line.split() for line in listed.splitlines())
    assert first == [token_id, "alice", "user"]
    assert second[1:] == ["team:ops", "operator"]
    assert token not in listed
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert call("list")[1].splitlines()[0].split() == ["ID", "USER", "ROLE"]
    assert call("revoke", token_id) == (0, f"revoked {token_id} of alice\n", "")
    assert len(call("list")[1].splitlines()) == 2
    code, _, errors = call("revoke", token_id)
    assert code == 1
    assert errors == (f"sluice: there is no token {token_id} in {file} (`sluice tokens list`)\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create"], "--user: must be given"),
        (["create", "--user", ""], "--user: '' is empty, too long or no text"),
        (["create", "--user", "a\nb"], "--user: 'a\\nb' is empty"),
        (["create", "--user", "a", "--role", "admin"], "--role: 'admin' is not one of 'user'"),
        (["revoke"], "TOKEN_ID: must be given"),
        (["revoke", "x"], "TOKEN_ID: 'x' is none: 12 of 0 to 9 and a to f"),
    ],
)
def test_wrong_use_is_one_line(call: Call, arguments: list[str], words: str) -> None:
    code, output, errors = call(*arguments)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert words in line


def test_a_file_that_cannot_serve_is_named(call: Call, file: Path) -> None:
    file.write_text("junk\n")
    for arguments in (["list"], ["create", "--user", "a"], ["revoke", "0" * 12]):
        code, _, errors = call(*arguments)
        assert code == 2
        assert errors.startswith(f"sluice: SLUICE_API_TOKENS_FILE: {file}: line 1: ")


def test_without_the_setting_or_its_directory_it_says_so(
    call: Call, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("SLUICE_API_TOKENS_FILE", str(file / "none" / "tokens"))
    code, _, errors = call("create", "--user", "a")
    assert (code, errors.count("\n")) == (1, 1)
    assert "can't be changed or read: No such file or directory" in errors
    monkeypatch.delenv("SLUICE_API_TOKENS_FILE")
    code, _, errors = call("list")
    assert (code, "SLUICE_API_TOKENS_FILE: must be set" in errors) == (2, True)
