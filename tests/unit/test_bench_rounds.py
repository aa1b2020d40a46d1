"""Which run of a round is kept, and which files are read back."""

from pathlib import Path

import pytest

from bench.judging import Judge
from bench.rounds import TRIES, ProcessRun, least_disturbed
from bench.rows import DataSet, MessageFile, read_messages
from schemas.vocabulary import Format


@pytest.mark.parametrize(
    ("seconds", "kept", "tries"),
    [
        ([1.1, 1.0], 1.1, 1),
        ([1.4, 1.3, 1.05, 1.0], 1.05, 3),
        ([1.4, 1.2, 1.3, 1.5, 1.0], 1.2, TRIES),
    ],
)
def test_a_disturbed_run_is_repeated_a_few_times(
    seconds: list[float], kept: float, tries: int
) -> None:
    runs = iter([ProcessRun(second, 1.0, 0) for second in seconds])
    assert least_disturbed(runs).seconds == kept
    assert len(list(runs)) == len(seconds) - tries


def test_the_least_disturbed_run_is_kept_and_not_the_quickest() -> None:
    assert least_disturbed([ProcessRun(2.0, 1.0, 0), ProcessRun(3.0, 2.5, 0)]).seconds == 3.0


def test_each_file_of_other_bytes_is_read_back(tmp_path: Path) -> None:
    messages = MessageFile.write(tmp_path, DataSet.ORDERS, 10)
    judge = Judge(Format.CSV, messages)
    for content in ("", "a", ""):
        path = tmp_path / "made.csv"
        path.write_text(content, "utf-8")
        judge.look(path)
    assert judge.words() == "another header; 0 rows of 10"


@pytest.mark.parametrize(("more", "verdict"), [(b"", "the messages"), (b"!", "other bytes")])
def test_a_copy_has_the_bytes_of_the_messages(tmp_path: Path, more: bytes, verdict: str) -> None:
    messages = MessageFile.write(tmp_path, DataSet.ORDERS, 1_010)
    path = tmp_path / "made"
    with messages.path.open("rb") as file:
        path.write_bytes(b"".join(read_messages(file)) + more)
    judge = Judge(Format.CSV, messages, copies=True)
    judge.look(path)
    assert judge.words() == verdict
