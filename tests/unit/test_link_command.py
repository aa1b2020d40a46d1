"""``sluice link``: made from the storage and the keys, without a node or a Kafka."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from consumer.storage.local import LocalStorage
from sluice.__main__ import main
from sluice.links import LinkKeys
from tests.support.storages import cancelled, finished, synced

KEY = "k" * 32


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def link(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    """``sluice link`` on a storage of a few exports: exit code, output and errors."""
    storage = LocalStorage(tmp_path / "exports")
    storage.found()
    finished(storage, "done", b"x")
    finished(storage, "gone", b"x")
    (tmp_path / "exports" / "gone.csv").unlink()
    storage.decide(cancelled("off"))
    for name, seconds in (("brief", 100), ("late", -1)):
        part, event = synced(storage, name, b"x")
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        event = event.model_copy(update={"expires_at": expires_at})
        storage.decide(event)
        part.publish(event)
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_LINK_KEYS", f"{KEY},{'o' * 32}")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sluice", "link", *arguments])
        with monkeypatch.context() as context:
            for name, value in more.items():
                context.setenv(f"SLUICE_{name}", value)
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    return call


def printed(link: Call, *arguments: str, **more: str) -> tuple[str, int, str]:
    """What a link begins with, when it ends, and its signature."""
    code, output, errors = link(*arguments, **more)
    assert (code, errors) == (0, "")
    (url,) = output.splitlines()
    query = parse_qs(urlsplit(url).query)
    return url.partition("?")[0], int(query["expires"][0]), query["signature"][0]


@pytest.mark.parametrize(("arguments", "seconds"), [((), 3_600), (("--expires-in", "60"), 60)])
def test_it_prints_a_link_that_the_newest_key_signed(
    link: Call, arguments: tuple[str, ...], seconds: int
) -> None:
    url, expires, signature = printed(link, "done", *arguments)
    assert url == "http://127.0.0.1:4001/export/download/done"
    assert expires == pytest.approx(time.time() + seconds, abs=5)
    assert signature == LinkKeys([KEY]).sign("done", expires)


def test_it_begins_with_what_clients_see(link: Call) -> None:
    url, _, _ = printed(link, "done", PUBLIC_URL="https://exports.example.org/x/")
    assert url == "https://exports.example.org/x/export/download/done"


def test_it_ends_with_the_file(link: Call) -> None:
    _, expires, _ = printed(link, "brief")
    assert expires <= time.time() + 100


@pytest.mark.parametrize(
    ("export_id", "words"),
    [
        ("none", "{root} has no export none that has ended"),
        ("off", "off is cancelled: it has no file"),
        ("late", "the file of late has expired"),
        ("gone", "{root} has no file of gone any more"),
    ],
)
def test_what_has_no_file_has_no_link(
    link: Call, tmp_path: Path, export_id: str, words: str
) -> None:
    line = words.format(root=tmp_path / "exports")
    assert link(export_id) == (1, "", f"sluice: {line}\n")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"LINK_KEYS": ""}, "SLUICE_LINK_KEYS: must be set, as to the nodes: it signs the link"),
        ({"HTTP_PORT": "0"}, "SLUICE_PUBLIC_URL: must be set, as SLUICE_HTTP_PORT is 0"),
    ],
)
def test_what_it_needs_is_named(link: Call, setting: dict[str, str], words: str) -> None:
    assert link("done", **setting) == (2, "", f"sluice: {words}\n")


def test_a_storage_that_is_none_is_one_line_and_stays_none(link: Call, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    line = f"sluice: SLUICE_STORAGE_URL: {nowhere} is no storage of a group\n"
    assert link("done", STORAGE_URL="nowhere") == (1, "", line)
    assert not nowhere.exists()
    nowhere.mkdir()
    assert link("done", STORAGE_URL="nowhere") == (1, "", line)
    assert list(nowhere.iterdir()) == []
