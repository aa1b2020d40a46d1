import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
    TerminalEvent,
)
from schemas.vocabulary import FailReason, Format
from sluice.reports import closing_table, event_line, publishing_progress

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENDED: dict[str, Any] = {
    "export_id": "ord-1",
    "user": "alice",
    "rows": 10_000,
    "requested_at": NOON,
    "started_at": NOON,
    "completed_at": NOON,
    "duration_ms": 812,
    "source": Source(topic="export.requests", partition=3, offset=42),
}
FILE: dict[str, Any] = {"location": "file:///x/ord-1", "bytes": 1_048_576, "sha256": "a" * 64}


def test_a_completed_export_is_a_line_with_rows_bytes_sum_and_place() -> None:
    event = ExportCompleted(format=Format.CSV, **ENDED, **FILE)
    assert event_line(event) == (
        f"completed ord-1 10000 rows 1048576 bytes sha256 {'a' * 64} file:///x/ord-1"
    )


def test_a_pdf_has_pages() -> None:
    event = ExportCompleted(format=Format.PDF, pages=200, replaced_characters=0, **ENDED, **FILE)
    assert "10000 rows 200 pages 1048576 bytes" in event_line(event)


@pytest.mark.parametrize(
    ("truncated", "replaced", "shown"),
    [
        (3, 1, "1048576 bytes (3 cells truncated, 1 character replaced) sha256"),
        (1, 0, "1048576 bytes (1 cell truncated) sha256"),
        (0, 20, "1048576 bytes (20 characters replaced) sha256"),
    ],
)
def test_what_a_file_does_not_show_as_it_was_sent_is_not_passed_over(
    truncated: int, replaced: int, shown: str
) -> None:
    counts: dict[str, Any] = {"truncated_cells": truncated, "replaced_characters": replaced}
    event = ExportCompleted(format=Format.PDF, pages=200, **counts, **ENDED, **FILE)
    assert shown in event_line(event)
    assert closing_table([event]).endswith(shown[len("1048576 bytes ") : -len(" sha256")])


def test_a_terminal_of_80_columns_gets_a_table_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = ENDED | {"export_id": "seed-pdf-10000-019ad0e8f3c2a1b2c3d4e5"}
    file = FILE | {"location": f"file://{tmp_path}/exports/{ended['export_id']}.pdf"}
    events: list[TerminalEvent] = [
        ExportCompleted(format=Format.PDF, pages=2, replaced_characters=7, **ended, **file),
        ExportFailed(format=Format.CSV, reason=FailReason.TOO_LARGE, message="m" * 90, **ENDED),
    ]
    header, completed, failed, note = closing_table(events, 80).splitlines()
    assert len(completed) == 80
    assert completed.split()[4:] == ["aaaaaaaa", "exports/seed-pdf-10000-01…d4e5.pdf"]
    assert header.index("LOCATION") == completed.index("exports/") == failed.index("ord-1: ")
    assert failed.endswith("m" * 90)
    assert note == "exports/seed-pdf-10000-01…d4e5.pdf: 7 characters replaced"
    assert closing_table(events, 400) == closing_table(events), "a wide one gets everything"


def test_a_failed_export_says_why_in_one_line() -> None:
    message = "row 3: unknown key 'a\nb\x1b[31m\u2028'"
    event = ExportFailed(
        format=Format.CSV, reason=FailReason.INVALID_BATCH, message=message, **ENDED
    )
    assert event_line(event) == (
        "failed ord-1 after 10000 rows: invalid_batch: row 3: unknown key 'a b [31m '"
    )


def test_a_cancelled_export_is_a_line() -> None:
    event = ExportCancelled(format=Format.CSV, message="cancelled on request", **ENDED)
    assert event_line(event) == "cancelled ord-1 after 10000 rows: cancelled on request"


def test_progress_is_silent_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with publishing_progress() as advance:
        advance("ord-1", 10, 0.5)
        advance("ord-1", 20, None)
    assert capsys.readouterr() == ("", "")


def test_progress_goes_to_a_terminal_on_stderr_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    with publishing_progress() as advance:
        advance("ord-[1]", 1_234, 0.5)
        print("the answer")
    assert "ord-[1]" in terminal.getvalue()
    assert "1,234 rows" in terminal.getvalue()
    assert capsys.readouterr().out == "the answer\n"
