import json
from typing import Any

import pytest

from consumer.formats.csv import CsvWriter
from schemas.codec import decode_request
from schemas.options import CsvOptions, PdfOptions
from schemas.records import Cell, decode_batch
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import Format
from tests.support.plain_csv import plain_csv
from tests.support.samples import REQUEST, changed


def request(*headers: str, **options: Any) -> ExportRequested:
    return ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=tuple(Column(key=str(n), header=header) for n, header in enumerate(headers)),
        options=CsvOptions(**options),
    )


def written(rows: list[list[Cell]], *headers: str, **options: Any) -> str:
    writer = CsvWriter(request(*headers, **options))
    return (writer.append(rows) + b"".join(writer.finish())).decode()


def field(cell: Cell, **options: Any) -> str:
    """The first of two fields, without header and line ending."""
    return written([[cell, 0]], "a", "b", header=False, **options).removesuffix(",0\r\n")


def test_a_small_file() -> None:
    rows: list[list[Cell]] = [[1, "Gülşen, Öğüt", True, None], [2, 'say "hi"', False, 0.5]]
    assert written(rows, "id", "name", "paid", "amount") == (
        'id,name,paid,amount\r\n1,"Gülşen, Öğüt",true,\r\n2,"say ""hi""",false,0.5\r\n'
    )


def test_the_options_change_what_they_say() -> None:
    rows: list[list[Cell]] = [["a;b", None, "=1"], ["a,b", "x", "-1"]]
    assert written(
        rows,
        "h;1",
        "=h2",
        "h3",
        delimiter=";",
        bom=True,
        line_ending="lf",
        null="NULL",
        escape_formulas=False,
    ) == ('\ufeff"h;1";=h2;h3\n"a;b";NULL;=1\n"a,b";x;-1\n')


@pytest.mark.parametrize("rows", [[], [["x"]]])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("bom", [True, False])
def test_the_mark_and_the_header_come_first_whether_rows_follow_or_not(
    rows: list[list[Cell]], header: bool, bom: bool
) -> None:
    text = written(rows, "h", header=header, bom=bom)
    assert text == "\ufeff" * bom + "h\r\n" * header + "x\r\n" * len(rows)


def test_the_mark_and_the_header_come_once() -> None:
    writer = CsvWriter(request("h", bom=True))
    pieces = [
        writer.append([]),
        writer.append([[1]]),
        writer.append([[2], [3]]),
        b"".join(writer.finish()),
    ]
    assert b"".join(pieces) == "\ufeffh\r\n1\r\n2\r\n3\r\n".encode()


@pytest.mark.parametrize(
    "text", ["a,b", "a;b", "a\tb", 'a"b', '"', "a\rb", "a\nb", "\r\n", ",", 'a,\n\r"b']
)
def test_quotes_where_they_must_be(text: str) -> None:
    assert field(text, escape_formulas=False) == '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize("text", ["", " ", " a ", "a|b", "a'b", "Id", "\\", "\0", "a\u2028b", "#"])
def test_no_quotes_where_none_are_needed(text: str) -> None:
    assert field(text) == text


def test_a_line_that_would_be_empty_to_some_reader_has_quotes() -> None:
    assert written([[""], [None], ["x"]], "", header=True) == '""\r\n""\r\n""\r\nx\r\n'
    blank = [" ", "\0", "\ufeff", "\xa0 "]
    lines = "".join(f'"{text}"\r\n' for text in blank)
    assert written([[text] for text in blank], "h") == "h\r\n" + lines
    assert written([[None], [0]], "h", null=" ", header=False) == '" "\r\n0\r\n'
    assert written([["", None]], "", "") == ",\r\n,\r\n"


def test_a_first_field_that_is_mistaken_for_another_files_mark_has_quotes() -> None:
    assert written([["ID", "ID"]], "ID", "ID") == '"ID",ID\r\nID,ID\r\n'
    assert written([["IDa", 1], ["IDa", 2]], "a", "b", header=False) == '"IDa",1\r\nIDa,2\r\n'
    assert written([[None, 1]], "a", "b", header=False, null="ID") == '"ID",1\r\n'
    assert written([["\ufeffa", 1]], "a", "b", header=False) == '"\ufeffa",1\r\n'
    assert written([["Id", 1]], "a", "b", header=False) == "Id,1\r\n"


def test_all_fields_have_quotes_where_that_is_wanted() -> None:
    rows: list[list[Cell]] = [[1, 'a"b', None], [True, "=1", [2.5]]]
    assert written(rows, "a", "ID", "c", quote="all") == (
        '"a","ID","c"\r\n"1","a""b",""\r\n"true","\'=1","[2.5]"\r\n'
    )


def test_the_decimal_separator_is_that_of_json_numbers_alone() -> None:
    rows: list[list[Cell]] = [[1.5, "1.5", [1.5]], [-1e16, 2**70, 1.5e-7], [1.5, None, True]]
    options = {"delimiter": ";", "decimal_separator": ",", "header": False}
    assert written(rows, "a", "b", "c", **options) == (
        f"1,5;1.5;[1.5]\r\n-1e+16;{2**70};1,5e-07\r\n1,5;;true\r\n"
    )
    for same in (",", "."):
        given = {"delimiter": same, "decimal_separator": same}
        with pytest.raises(ValueError, match=r"decimal_separator\s+Value error, must not be the"):
            CsvOptions.model_validate(given)


@pytest.mark.parametrize("passed_over", ["", "\0", "\ufeff", " ", "\0 \xa0\ufeff\u3000"])
@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"))  # noqa: RUF001 - fullwidth is meant
@pytest.mark.parametrize("rest", ["", "1+1", "cmd|' /C calc'!A0", "SUM(A1)", " ", "\0"])
def test_a_string_that_begins_as_a_formula_is_escaped(
    passed_over: str, start: str, rest: str
) -> None:
    text = passed_over + start + rest
    if text.lstrip("\0\ufeff \xa0\u3000") == "-":
        return  # alone it is none
    assert field(text).strip('"') == "'" + text
    assert written([], text, "b").startswith(("'" + text, "\"'" + text))
    assert field(text, escape_formulas=False).strip('"') == text


@pytest.mark.parametrize("text", ["'=1", "a=1", "a\n=1", "1-2", "\0a", " 1", "\N{MINUS SIGN}5"])
def test_a_string_that_begins_otherwise_is_not(text: str) -> None:
    assert field(text).strip('"') == text


@pytest.mark.parametrize(
    "text",
    [
        *("-5", "+1.5e3", "-0", "+0.0", "-.5", "+5.", "-1E-10", "+1e+308", "-1e999", "+00012"),
        *("-1,234.56", "-1.234,56", "-1 234,50", "-1\xa0234", "-1\u202f234,5", "-1'234.50"),
        *("-5%", "-5 %", "+1.5e3%", "-1,234.5%", "-", " -5", "\0-", "-1.2.3"),
        *("+491701234567", "+49 170 1234567"),
    ],
)
def test_a_string_that_is_a_number_is_not_escaped(text: str) -> None:
    quotes = '"' if "," in text else ""
    assert field(text) == f"{quotes}{text}{quotes}"
    assert written([], text, "b") == f"{quotes}{text}{quotes},b\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "+",
        "- ",
        "-.",
        "--5",
        "+-5",
        "-5 ",
        "- 5",
        "-5\n",
        "-1_000",
        "-1e",
        "-e5",
        "-1e5.5",
        "-1,,2",
        "-1  2",
        "-0x10",
        "-inf",
        "+nan",
        "-%",
        "-5%%",
        "-5+1",
        "+49-170-1234567",
        "+49 (0)170",
        "-\N{ARABIC-INDIC DIGIT FIVE}",
        "-\N{SUPERSCRIPT TWO}",
        "@5",
        "=5",
        "\t5",
    ],
)
def test_a_string_that_is_nearly_a_number_is_escaped(text: str) -> None:
    assert field(text).strip('"') == "'" + text


@pytest.mark.parametrize("number", [-5, -0.5, -1e-07, -1e16, -(10**30)])
def test_numbers_are_never_touched(number: float) -> None:
    assert field(number) == repr(number)
    assert field(number, delimiter=",", null="-") == repr(number)


def test_the_null_text_is_never_escaped_but_quoted_where_it_must_be() -> None:
    assert field(None, null="=NULL", escape_formulas=False) == "=NULL"
    assert field(None, null="-") == "-"
    assert field(None, null='a,"b"') == '"a,""b"""'
    rows: list[list[Cell]] = [["=x", 0], [None, 0]]
    text = written(rows, "a", "b", header=False, null="=x", escape_formulas=False)
    assert text == "=x,0\r\n=x,0\r\n"


@pytest.mark.parametrize("null", ["=NULL", "@", "\t", "\0=1", "\n", "+", "-x"])
def test_a_null_text_that_would_be_run_is_refused(null: str) -> None:
    with pytest.raises(ValueError, match=r"null\s+Value error, must not begin as a formula"):
        CsvOptions(null=null)
    assert CsvOptions(null=null, escape_formulas=False).null == null


def test_an_escaped_field_is_quoted_if_the_apostrophe_delimits() -> None:
    assert written([["=x", "y"]], "a", "b", header=False, delimiter="'") == "\"'=x\"'y\r\n"


@pytest.mark.parametrize(
    ("cell", "delimiter", "expected"),
    [(15, "1", '"15"'), (-5, "-", '"-5"'), (0.5, ".", '"0.5"'), (1e16, "e", '"1e+16"')],
)
def test_a_number_that_holds_the_delimiter_is_quoted(
    cell: float, delimiter: str, expected: str
) -> None:
    assert written([[cell]], "a", header=False, delimiter=delimiter) == expected + "\r\n"


def test_words_that_hold_the_delimiter_are_quoted() -> None:
    rows: list[list[Cell]] = [[True], [False], [None]]
    assert written(rows, "a", header=False, delimiter="u", null="null") == (
        '"true"\r\nfalse\r\n"null"\r\n'
    )


def test_arrays_and_objects_are_compact_json_quoted_once() -> None:
    assert field([1, "ş"]) == '"[1,""ş""]"'
    assert field({"a": None}) == '"{""a"":null}"'
    assert field(["=1"]) == '"[""=1""]"'


def test_integers_keep_their_digits_from_the_message_to_the_file() -> None:
    integers = [2**63, 2**64, -(2**64), 10**400, 12345678901234567890123]
    message = {"export_id": "a", "seq": 0, "rows": [[n, [n]] for n in integers]}
    rows: list[Any] = decode_batch(json.dumps(message).encode()).rows
    assert written(rows, "a", "b", header=False) == "".join(f"{n},[{n}]\r\n" for n in integers)


def test_the_width_of_a_column_has_no_effect() -> None:
    narrow, wide = (
        decode_request(
            json.dumps(changed(REQUEST, columns=[{"key": "id", "width": width}])).encode()
        )
        for width in (1, 500)
    )
    assert isinstance(narrow, ExportRequested)
    assert isinstance(wide, ExportRequested)
    assert CsvWriter(narrow).append([["a" * 100]]) == CsvWriter(wide).append([["a" * 100]])


def test_many_rows_at_once_are_all_there() -> None:
    rows: list[list[Cell]] = [[n, None if n % 7 else f"={n},", n / 3] for n in range(2_500)]
    wanted = request("id", "formula", "third")
    assert CsvWriter(wanted).append(rows) == plain_csv(wanted, rows)


def test_rows_of_unequal_length_are_never_cut() -> None:
    with pytest.raises(ValueError, match="shorter"):
        CsvWriter(request("a", "b")).append([[1, 2], [3]])


def test_options_of_another_format_are_refused() -> None:
    wanted = ExportRequested(
        export_id="a", format=Format.PDF, columns=(Column(key="a"),), options=PdfOptions()
    )
    with pytest.raises(TypeError, match="pdf"):
        CsvWriter(wanted)
