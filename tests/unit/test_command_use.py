"""How commands answer to being called wrongly, and for help: before they connect to anything."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.__main__ import main

Call = Callable[..., tuple[int, str, str]]

ALWAYS = "2020-01-01T00:00:00Z"
WRONG_REPLAYS = [
    ([], "--from"),
    (["--from", "yesterday"], "--from: must be an RFC 3339 time"),
    (["--from", "2026-11-21T10:00:00+01:00"], "--from: must be an RFC 3339 time in UTC"),
    (["--from", ALWAYS, "--to", "now"], "--to: must be an RFC 3339 time"),
    (["--from", ALWAYS, "--to", ALWAYS], "--to: must be later than --from"),
    (["--from", ALWAYS, "--rate", "1", "--speed", "1"], "give --rate or --speed, not both"),
    (["--from", ALWAYS, "--rate", "0"], "--rate: must be a finite number above 0"),
    (["--from", ALWAYS, "--rate", "inf"], "--rate: must be a finite number above 0"),
    (["--from", ALWAYS, "--speed", "-1"], "--speed: must be a finite number above 0"),
    (["--from", ALWAYS, "--speed", "nan"], "--speed: must be a finite number above 0"),
    (["--from", ALWAYS, "--timeout", "0"], "--timeout: must be a finite number above 0"),
    (["--from", ALWAYS, "--rate", "fast"], "--rate"),
    (["--from", ALWAYS, "--copies", "0"], "--copies"),
    (["--from", ALWAYS, "--copies", "1001"], "--copies"),
    (["--from", ALWAYS, "now"], "now"),
]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    """``sluice`` with these arguments, in this process: exit code, output and errors."""
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_HTTP_PORT", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, output, errors

    return call


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seed"], "give --records and --format, or --batch"),
        (["seed", "--records", "5"], "give --records and --format, or --batch"),
        (["seed", "--batch", "--records", "5"], "--batch has its own"),
        (["seed", "--records", "-1", "--format", "csv"], "--records"),
        (["seed", "--records", "1", "--format", "xls"], "'xls' is not one of 'csv', 'pdf'"),
        (["submit", "-", "--format", "csv"], "--input-format"),
        (["submit", "a.csv"], "--format"),
        (["submit", "a.csv", "--format", "csv", "--option", "nope=1"], "options.nope"),
        (["cancel"], "export_id"),
        (["cancel", "/"], "EXPORT_ID: '/' is none: a letter or digit, then"),
        (["cancel", ""], "EXPORT_ID: ''"),
        (["cancel", "a\n"], "EXPORT_ID: 'a\\n'"),
        (["cancel", "a" * 129], "EXPORT_ID: "),
        (["cancel", os.fsdecode(b"\xff")], "EXPORT_ID: '\\udcff'"),
        (["cancel", "a", "b"], "unexpected extra argument"),
        (["verify"], "location"),
        (["verify", "s3://key:s3cr3t@bucket"], "s3://bucket: must name a bucket"),
        (["verify", "file://elsewhere/exports"], "must be a path, file:///path"),
        (["verify", "https://example.org/a.csv"], "must be a path, file:///path"),
        (["check", "ftp://127.0.0.1"], "URL: 'ftp://127.0.0.1' is not of the form"),
        (["check", "http://"], "URL: "),
        (["check", "127.0.0.1:99999"], "URL: "),
        (["check", "http://a b"], "URL: "),
        (["check"], "SLUICE_HTTP_PORT is 0"),
        (
            ["dead-letters", "list", "--reason", "bad"],
            "'--reason': 'bad' is not one of 'unreadable'",
        ),
        (["dead-letters", "list", "--from", "today"], "--from: must be an RFC 3339 time in UTC"),
        (["dead-letters", "list", "--to", "2026-11-21"], "--to: must be an RFC 3339 time"),
        (["dead-letters", "list", "--last", "0"], "--last"),
        (["dead-letters", "requeue"], "give PARTITION:OFFSET, or filters, or --all"),
        (["dead-letters", "requeue", "--dry-run"], "one of the three"),
        (["dead-letters", "requeue", "--all", "0:1"], "one of the three"),
        (["dead-letters", "requeue", "--all", "--last", "1"], "one of the three"),
        (["dead-letters", "requeue", "0:1", "--reason", "unreadable"], "one of the three"),
        (["dead-letters", "requeue", "0-1"], "PLACE: '0-1' is not of the form PARTITION:OFFSET"),
        (["dead-letters", "requeue", "0:\u0661"], "PLACE: '0:\u0661' is not of the form"),
        *((["replay", *arguments], words) for arguments, words in WRONG_REPLAYS),
    ],
)
def test_wrong_use_is_exit_2_and_one_line(call: Call, arguments: list[str], words: str) -> None:
    code, output, errors = call(*arguments)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("sluice: ")
    assert words in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed"],
        ["submit"],
        ["watch"],
        ["topics", "create"],
        ["cancel"],
        ["verify"],
        ["check"],
        ["dead-letters", "list"],
        ["dead-letters", "requeue"],
    ],
)
def test_every_command_has_help(call: Call, arguments: list[str]) -> None:
    code, output, errors = call(*arguments, "--help")
    assert (code, errors) == (0, "")
    assert arguments[-1] in output
