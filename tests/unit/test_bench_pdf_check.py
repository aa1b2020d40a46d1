"""The text of a PDF's page against the cells that it is to show."""

import pytest

from bench.checks import Findings
from bench.pdf_check import compare_page
from schemas.records import Cell

KNOWN = frozenset(range(32, 0x250)) | {ord("…")}
ROWS: list[list[Cell]] = [
    ["Çağla Öztürk", 7, "party 🎉 tonight"],
    ["Bo", None, "a rather long note"],
]


def words(text: str) -> str:
    findings = Findings()
    compare_page(findings, ROWS, text, KNOWN)
    assert findings.cells == 6
    return findings.words()


PARTY = "U+FFFD for 🎉 in 17% of cells"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Title who n Çağla Öztürk 7 party \ufffd tonight Bo a rather long note 1 / 2", PARTY),
        ("Çağla Öztürk7party\ufffdtonightBoa rather lo…", PARTY),
        ("Çağla Öztürk 7 party tonight Bo a rather long note", "missing: 🎉 in 17% of cells"),
        ("Çağla Öztürk 7 party 🎉 tonight Bo a rather long note", "right"),
    ],
)
def test_cells_in_their_order_are_right_but_for_what_no_font_has(text: str, verdict: str) -> None:
    assert words(text) == verdict


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Ç… 7 party 🎉 tonight Bo a rather long note", 1),
        ("Çağla Öztürk 7 party 🎉 tonight Bo a ra…", 1),
        ("\xc7a\x1fla \xd6zt|rk 7 party 🎉 tonight Bo a rather long note", 1),
        ("a rather long note Bo party 🎉 tonight 7 Çağla Öztürk", 4),
        ("", 5),
    ],
)
def test_too_little_or_another_text_or_order_is_a_fault(text: str, count: int) -> None:
    assert words(text) == f"garbled or missing text in {count / 6:.0%} of cells"


def test_many_characters_are_counted() -> None:
    findings = Findings()
    compare_page(findings, [["漢字仮名"]], "\ufffd" * 4, KNOWN)
    assert findings.words() == "U+FFFD for 4 characters in 100% of cells"
