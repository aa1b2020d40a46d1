"""How commands answer to being called wrongly, and for help: before they connect to anything."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sluice.__main__ import main
from sluice.cli import application
from sluice.help import EXAMPLES, command_line
from tests.support.nodes import SLUICE

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


def test_a_users_mistake_is_one_line_at_every_log_level(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for level in ("debug", "DEBUG", "info"):
        monkeypatch.setenv("SLUICE_LOG_LEVEL", level)
        for arguments in (["seed"], ["serve", "--no"], ["verify"], ["cancel", "/"]):
            code, output, errors = call(*arguments)
            assert (code, output, errors.count("\n")) == (2, "", 1), errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seed"], "give --records and --format, or --batch"),
        (["seed", "--records", "5"], "give --records and --format, or --batch"),
        (["seed", "--records", "-1", "--format", "csv"], "--records"),
        (["seed", "--records", "1", "--format", "xls"], "'xls' is not one of 'csv', 'pdf'"),
        (["submit", "-", "--format", "csv"], "--input-format"),
        (["submit", "a.csv"], "--format"),
        (["submit", "a.csv", "--format", "csv", "--option", "nope=1"], "--option nope: is"),
        (["submit", "a.csv", "--format", "csv", "--export-id", "/"], "--export-id: "),
        (["submit", "a.csv", "--format", "csv", "--columns", "a,a"], "--columns"),
        (["cancel"], "EXPORT_ID: must be given (`sluice cancel --help` has examples)"),
        (["seed", "--record", "1"], "--record: is not an option of `sluice seed` (did you mean"),
        (["seed", "--records", "abc"], "--records: must be a whole number, not 'abc' (`sluice"),
        (["seed", "--records", "1.5"], "--records: must be a whole number, not '1.5'"),
        (
            ["seed", "--records"],
            "--records: requires an argument (`sluice seed --help` has examples)",
        ),
        (["sed"], "Did you mean 'seed'?"),
        (["cancel", "/"], "EXPORT_ID: '/' is none: a letter or digit, then"),
        (["cancel", ""], "EXPORT_ID: ''"),
        (["cancel", "a\n"], "EXPORT_ID: 'a\\n'"),
        (["cancel", "a" * 129], "EXPORT_ID: "),
        (["cancel", os.fsdecode(b"\xff")], "EXPORT_ID: '\\udcff'"),
        (["cancel", "a", "b"], "unexpected extra argument"),
        (["link", "/"], "EXPORT_ID: '/' is none: a letter or digit, then"),
        (["link", "a"], "SLUICE_LINK_KEYS: must be set"),
        (["link", "a", "--expires-in", "0"], "--expires-in: must be at least 1"),
        (["verify"], "LOCATION: must be given"),
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
            "--reason: 'bad' is not one of 'unreadable'",
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
        ["link"],
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


def _commands() -> dict[str, Any]:
    """Every command by its words, with the groups of them."""
    found: dict[str, Any] = {}

    def walk(words: str, command: Any) -> None:
        found[words] = command
        for name, inner in getattr(command, "commands", {}).items():
            walk(f"{words} {name}", inner)

    walk("sluice", command_line(application()))
    return found


def test_every_command_has_examples() -> None:
    assert EXAMPLES.keys() == _commands().keys()


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_an_example_is_what_its_command_accepts(line: str) -> None:
    assert len(line) <= 72, "with its prompt it fits a terminal of 80 columns"
    words = shlex.split(line.split(" | ", maxsplit=1)[0].split(" < ", maxsplit=1)[0])
    words = words[words.index("sluice") :]
    commands = _commands()
    path = " ".join(words[:2]) if " ".join(words[:2]) in commands else "sluice"
    path = " ".join(words[:3]) if " ".join(words[:3]) in commands else path
    arguments = words[len(path.split()) :]
    if path == "sluice":
        assert arguments[0] in {flag for one in commands[path].params for flag in one.opts}
    else:
        commands[path].make_context(path, arguments)


@pytest.mark.parametrize("words", sorted(EXAMPLES))
def test_help_shows_no_types_of_python(call: Call, words: str) -> None:
    _, output, _ = call(*words.split()[1:], "--help")
    assert "Examples:" in output
    assert not re.search("<bool>|<int|<str|<list|<path>", output)


@pytest.mark.parametrize("words", sorted(EXAMPLES))
def test_help_wraps_its_text_at_the_terminals_end(
    call: Call, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, output, _ = call(*words.split()[1:], "--help")
    text, _, _ = output.partition("╭")
    lines = [line.strip() for line in text.splitlines()]
    for line, after in itertools.pairwise(lines):
        if line and after:
            first, *_ = after.split()
            assert len(f"{line} {first}") > 78, f"{line!r} has room for {first!r}"


def test_the_version_is_the_packages(call: Call) -> None:
    assert call("--version") == (0, f"sluice {version('sluice')}\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    environment = {"PATH": os.environ["PATH"], "_SLUICE_COMPLETE": f"complete_{shell}"}
    for typed, completed in (("sluice se", "seed"), ("sluice seed --rec", "--records")):
        state = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        state |= {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        done = subprocess.run(
            [SLUICE], env=environment | state, capture_output=True, text=True, check=False
        )
        assert completed in done.stdout, done


@pytest.mark.parametrize("arguments", [["cancel", "a"], ["list"], ["retry", "a"]])
def test_kafka_that_refuses_closes_with_what_to_do(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    code, _, errors = call(*arguments)
    hint = "set SLUICE_BOOTSTRAP_SERVERS, or start a Kafka with `sluice broker`"
    why = "Kafka at 127.0.0.1:9 can't be used: connection refused"
    assert (code, errors) == (1, f"sluice: {why} ({hint})\n")


@pytest.fixture
def call_with_no_store(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """As ``call``, where the storage is in a bucket that nothing serves."""
    monkeypatch.setenv("SLUICE_STORAGE_URL", "s3://bucket/p")
    monkeypatch.setenv("SLUICE_STORAGE_OPTIONS", "endpoint=http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    return call


def test_verify_has_no_verdict_on_a_bucket_that_it_can_not_look_into(
    call_with_no_store: Call,
) -> None:
    manifest = "s3://bucket/p/manifests/a.json"
    code, output, errors = call_with_no_store("verify", "s3://bucket/p", manifest, "no/such/dir")
    assert (code, output) == (1, "WRONG no/such/dir isn't there\n")
    assert errors == (
        "sluice: s3://bucket/p/manifests can't be listed: no connection can be made; "
        f"{manifest} can't be read: no connection can be made; "
        "1 of 1 are not as their manifests say\n"
    )


def test_expire_names_the_setting_of_a_storage_that_refuses(call_with_no_store: Call) -> None:
    where = "SLUICE_STORAGE_URL: s3://bucket/p/.sluice.json"
    why = f"{where} can't be read: no connection can be made"
    assert call_with_no_store("expire") == (1, "", f"sluice: {why}\n")


def test_verify_names_what_was_given(call: Call, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.csv").write_text("n")
    code, output, _ = call("verify", "no/such/dir", "some/", "some/a.csv")
    assert code == 1
    assert output.splitlines() == [
        "WRONG no/such/dir isn't there",
        "WRONG some/a.csv has no manifest",
        "WRONG some/a.csv has no manifest",
    ]
