"""A server's data directory has one user at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.directory import DataDirectory
from broker.errors import ServerError


def test_it_is_made_when_it_is_claimed(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "a" / "b", "Kafka")
    with directory.claimed():
        assert directory.path.is_dir()


def test_it_is_claimed_by_one_at_a_time(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path, "Kafka")
    with directory.claimed(), pytest.raises(ServerError, match=f"another Kafka .* {tmp_path}"):
        directory.claimed().__enter__()
    with directory.claimed():
        pass


def test_it_stays_claimed_as_long_as_a_child_that_inherited_the_claim(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path, "Kafka")
    with directory.claimed() as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,)
        )
    with child, pytest.raises(ServerError, match="another Kafka"):
        directory.claimed().__enter__()
    with directory.claimed():
        pass


def test_one_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = DataDirectory(tmp_path / "file" / "kafka", "Kafka")
    with pytest.raises(ServerError, match=f"the data directory {directory.path} can't be used: "):
        directory.claimed().__enter__()


def test_a_log_that_was_removed_reads_as_empty(tmp_path: Path) -> None:
    assert DataDirectory(tmp_path, "Kafka").read_log() == ""
