"""Names that Excel takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumer.formats.xlsx.names import first_name, further_name
from schemas.sheets import is_sheet_name, utf16_length
from tests.support.xlsx import by_calamine, by_openpyxl, write_xlsx, xlsx_request

odd = st.text("ab[]:*?/\\' \x01\n\u2028\ufffe\N{ROCKET}", max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        (None, "Export"),
        ("", "Export"),
        ("Orders", "Orders"),
        ("Orders 2026/11", "Orders 2026-11"),
        ("Q1: [net] *all*?", "Q1 (net) all"),
        ("'quoted'", "quoted"),
        ("It's", "It's"),
        ("History", "Export"),
        ("  ' ", "Export"),
        ("x" * 40, "x" * 31),
        ("x" * 30 + "\N{ROCKET}y", "x" * 30),
        ("\N{ROCKET}" * 20, "\N{ROCKET}" * 15),
        ("a\nb\tc\x00", "a b c"),
    ],
)
def test_a_title_becomes_a_name(title: str | None, name: str) -> None:
    assert first_name(title) == name


@given(odd)
def test_what_a_title_becomes_is_a_name(title: str) -> None:
    assert is_sheet_name(first_name(title))


@given(odd.map(first_name), st.integers(2, 9_999), st.integers(2, 9_999))
def test_further_names_are_names_and_differ(first: str, one: int, other: int) -> None:
    names = [first, further_name(first, one), further_name(first, other)]
    assert all(map(is_sheet_name, names))
    assert len({name.lower() for name in names}) == 2 + (one != other)


def test_a_name_like_a_further_one_is_not_taken_twice() -> None:
    assert further_name("x" * 27 + " (2)", 2) == "x" * 26 + " (2)"


@pytest.mark.parametrize("name", ["Orders", "It's", 'a&b<c>"d"', "漢字", "x" * 31])
def test_a_name_is_kept(name: str) -> None:
    content = write_xlsx(xlsx_request(sheet=name), [[1, 2]])
    assert list(by_openpyxl(content)) == list(by_calamine(content)) == [name]


@pytest.mark.parametrize(
    "name",
    [" ", "a/b", "a[b", "a:b", "'a", "a'", "history", "x" * 32, "\N{ROCKET}" * 16, "a\x01b", 7],
)
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ValidationError):
        xlsx_request(sheet=name)


def test_characters_are_counted_in_utf_16() -> None:
    assert utf16_length("a\N{ROCKET}") == 3
