import pytest

from consumer.formats.cells import cell_text
from schemas.records import Cell


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (2**64, "18446744073709551616"),
        (0.1, "0.1"),
        (12.50, "12.5"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e16, "1e+16"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2.0**53 + 1, "9007199254740992.0"),
        ("", ""),
        ("null", "null"),
        (" a\t", " a\t"),
        ([], "[]"),
        ({}, "{}"),
        ([1, 2.5, None, True, "ş\n"], '[1,2.5,null,true,"ş\\n"]'),
        ({"b": {"ğ": "→"}, "a": []}, '{"b":{"ğ":"→"},"a":[]}'),
        ([2**64, 1e16], "[18446744073709551616,1e+16]"),
        (["\0\x1f\x7f"], '["\\u0000\\u001f\x7f"]'),
    ],
)
def test_the_text_of_a_cell(cell: Cell, text: str) -> None:
    assert cell_text(cell) == text


def test_null_has_the_chosen_text_but_not_within_an_array() -> None:
    assert cell_text(None, "NULL") == "NULL"
    assert cell_text([None], "NULL") == "[null]"


def test_an_integer_has_every_digit() -> None:
    assert cell_text(10**400) == "1" + "0" * 400
    assert cell_text([10**400]) == "[1" + "0" * 400 + "]"


def test_nesting_deeper_than_python_recurses_is_written_all_the_same() -> None:
    cell: Cell = {"k": "é"}
    for _ in range(20_000):
        cell = [cell]
    assert cell_text(cell) == "[" * 20_000 + '{"k":"é"}' + "]" * 20_000
