"""Documents before veraPDF: PDF/A-2u in all that they may hold, and what PDF/UA would want more."""

from pathlib import Path

import pytest

from tests.formats.exports import COLUMNS, rows
from tests.support.pdf import pdf_request, write_pdf
from tests.support.verapdf import validate

pytestmark = pytest.mark.long

NOT_TAGGED = {"5-1", "6.2-1", "7.1-3", "7.1-11"}
"""Of PDF/UA-1: the identification, the mark, content that is tagged or an artifact, the tree."""
SCRIPTS = [
    ["Arabic", "مرحبا بالعالم، هذه فاتورة رقم 1234 بمبلغ 5,600.50 ريال", "١٢٣٤٫٥٠"],  # noqa: RUF001 - its own letters
    ["Hebrew", "שלום עולם, חשבונית 42 (שולמה)", "₪ 1,234.56"],
    ["Devanagari", "नमस्ते दुनिया, क्षत्रिय हिन्दी", "₹ 1,23,456.00"],
    ["Thai", "สวัสดีชาวโลก น้ำที่ใช้", "฿ 500"],
    ["Greek, Cyrillic", "Γειά σου Κόσμε, Привет, мир", "1 234,50"],  # noqa: RUF001 - its own letters
    ["Latin", "Ḩattā Əhmədbəyli Nguyễn", "-5 %"],
    ["none", "你好 안녕 🎉", "\x00\t\r\n" + "long " * 400],
]


def documents() -> dict[str, bytes]:
    """One of each kind: without rows, of many pages, of all scripts, of 60 columns."""
    cut = pdf_request(("script", "text", "amount"), "Ten scripts — عشرة", footer="נכתב <a> & b")
    wrapped = pdf_request(("script", "ملاحظات", "amount"), overflow="wrap", timezone="Asia/Kolkata")
    wide = pdf_request([f"column {number}" for number in range(60)], page_size="A5")
    return {
        "empty": write_pdf(pdf_request(), []),
        "pages": write_pdf(pdf_request(COLUMNS, records_per_page=20), rows(100)),
        "cut": write_pdf(cut, SCRIPTS),
        "wrapped": write_pdf(wrapped, SCRIPTS),
        "wide": write_pdf(wide, [[f"{row * 1234567.5:,}" for row in range(60)]] * 3),
    }


def test_documents_are_pdf_a_2u_and_short_of_pdf_ua_by_what_the_contract_says(
    tmp_path: Path,
) -> None:
    files = []
    for name, content in documents().items():
        files.append(tmp_path / f"{name}.pdf")
        files[-1].write_bytes(content)
    found = validate(files, "PDFA_2_U", "PDFUA_1")
    assert len(found) == 2 * len(files)
    for archived in found[::2]:
        assert archived["checks"] > 100
        assert (archived["compliant"], archived["broken"]) == (True, {})
    for accessible in found[1::2]:
        assert accessible["broken"].keys() == NOT_TAGGED
