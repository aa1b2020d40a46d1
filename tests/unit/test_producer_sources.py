import gzip
import io
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import zstandard

from producer.sources.csv_source import CELL_MAX, read_csv
from producer.sources.header import Header
from producer.sources.json_source import ITEM_MAX_BYTES, read_json, read_ndjson
from producer.sources.reading import Reader
from producer.sources.table import SourceError

Rows = list[Any]


def read(
    reader: Reader, text: str | bytes, columns: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Rows]:
    content = text.encode() if isinstance(text, str) else text
    table = reader(io.BufferedReader(io.BytesIO(content)), columns)
    return table.columns, list(table.rows)


def wrong(reader: Reader, text: str | bytes, columns: Sequence[str] | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read(reader, text, columns)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "keys", "rows"),
    [
        ("a,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        ("a,b\r\n1,2\r\n3,", ("a", "b"), [["1", "2"], ["3", ""]]),
        ("a,b\r1,2\r", ("a", "b"), [["1", "2"]]),
        ('a,"b\nc"\n"1\r\n2","say ""hi"", yes"\n', ("a", "b\nc"), [["1\r\n2", 'say "hi", yes']]),
        ("\ufeffa,b\n1,\ufeff\n", ("a", "b"), [["1", "\ufeff"]]),
        ("a,b\n", ("a", "b"), []),
        ("\r\n\na,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        ("sep=,\r\na,b\r\n1,2\r\n", ("a", "b"), [["1", "2"]]),
        ("a,b\n\n1,2\n\n\n", ("a", "b"), [["1", "2"]]),
        ("a\n\n1\n", ("a",), [[""], ["1"]]),
        ('a,b\n5" disk,007\n', ("a", "b"), [['5" disk', "007"]]),
        ("a,b\n =1 ,\0\n", ("a", "b"), [[" =1 ", "\0"]]),
    ],
)
def test_csv_rows_are_strings_under_the_headers_keys(
    text: str, keys: tuple[str, ...], rows: Rows
) -> None:
    assert read(read_csv, text) == (keys, rows)


TYPES = {
    "s": "string",
    "i": "integer",
    "n": "number",
    "d": "decimal",
    "b": "boolean",
    "day": "date",
    "t": "timestamp",
}


def test_cells_of_typed_csv_columns_are_what_they_spell() -> None:
    text = (
        ",".join(["x", *TYPES])
        + f"\n007,007,-7,1.50,12.50,true,2026-11-21,2026-11-21T10:00:00Z\n,,{2**70},,,,,\n"
    )
    rows = read(partial(read_csv, types=TYPES), text)[1]
    day = ["2026-11-21", "2026-11-21T10:00:00Z"]
    assert rows == [
        ["007", "007", -7, 1.5, "12.50", True, *day],
        ["", "", 2**70, None, None, None, None, None],
    ]
    assert read(partial(read_csv, types={"a": "integer"}), "a\n1\n\n")[1] == [[1], [None]]


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [
        ("integer", "1.0", "line 2, column 'a': 1.0 is no integer"),
        ("integer", "007", "line 2, column 'a': '007' is no integer"),
        ("integer", "one", "line 2, column 'a': 'one' is no integer"),
        ("number", "1,5", "line 2, column 'a': '1,5' is no number"),
        ("number", "NaN", "line 2, column 'a': 'NaN' is no number"),
        ("decimal", "1.5 EUR", "line 2, column 'a': '1.5 EUR' is no decimal number"),
        ("boolean", "yes", "line 2, column 'a': 'yes' is no boolean"),
        ("date", "21.11.2026", "line 2, column 'a': '21.11.2026' is no date"),
    ],
)
def test_a_csv_cell_of_another_type_is_named_by_line_and_column(
    kind: str, cell: str, message: str
) -> None:
    found = wrong(partial(read_csv, types={"a": kind}), f'a,b\n"{cell}",1\n')
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        (["n", "n", "m", "n"], ("n", "n_2", "m", "n_3")),
        (["n", "n", "n_2", "n"], ("n", "n_3", "n_2", "n_4")),
        (["n_2", "n", "n", "n_2"], ("n_2", "n", "n_3", "n_2_2")),
        (["a", "", "", "column_2"], ("a", "column_2_2", "column_3", "column_2")),
        (["n"] * 3, ("n", "n_2", "n_3")),
    ],
)
def test_repeated_and_empty_names_of_a_header_get_keys_of_their_own(
    texts: list[str], keys: tuple[str, ...]
) -> None:
    content = (",".join(texts) + "\n" + ",".join(map(str, range(len(texts))))).encode()
    table = read_csv(io.BufferedReader(io.BytesIO(content)))
    assert table.columns == keys
    assert table.headers == tuple(texts)
    assert list(table.rows) == [[*map(str, range(len(texts)))]]
    last = read_csv(io.BufferedReader(io.BytesIO(content)), [keys[-1]])
    assert (last.headers, [*last.rows]) == ((texts[-1],), [[str(len(texts) - 1)]])


def test_a_header_of_very_many_equal_names_takes_no_quadratic_time() -> None:
    begun_at = time.process_time()
    assert len({*Header(["n"] * 100_000).keys}) == 100_000
    assert time.process_time() - begun_at < 2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_is_skipped_where_the_order_is_given_as_well(encoding: str) -> None:
    text = '"a",b\n\ufeff,é\n'
    for content in (text, "\ufeff" + text):
        found = read(partial(read_csv, encoding=encoding), content.encode(encoding))
        assert found == (("a", "b"), [["\ufeff", "é"]])


def test_a_line_that_names_the_given_delimiter_is_no_header() -> None:
    found = read(partial(read_csv, delimiter=";"), "sep=;\na;b\n1;2\n")
    assert found == (("a", "b"), [["1", "2"]])
    assert wrong(partial(read_csv, delimiter=";"), "sep=;\na;b\n1\n").startswith("line 3: ")


def test_csv_columns_are_chosen_by_header_in_the_order_given() -> None:
    assert read(read_csv, "a,b,c\n1,2,3\n4,5,6\n", ["c", "a"])[1] == [["3", "1"], ["6", "4"]]
    assert read(read_csv, "a,b\n1,2\n", ["b"]) == (("b",), [["2"]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no header row to take the columns from"),
        ("\n", "there is no header row to take the columns from"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells, where the header has 2"),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4: 3 cells, where the header has 2"),
        ('a,b\n1,2\n"x\n', "line 3: malformed CSV: unexpected end of data"),
        ('a,b\n1,2\n"x\ny\n', "line 3 to 4: malformed CSV: unexpected end of data"),
        ('a,b\n"x"y,2\n', "line 2: malformed CSV: ',' expected after '\"'"),
        (
            b"a,b\n1,2\n3,caf\xe9\n",
            "line 3: byte 0xe9 is not UTF-8: --encoding cp1252 may be meant",
        ),
        (
            b"a,b\n" + b"1,2\n" * 9_999 + b"\xff,2\n",
            "line 10001: byte 0xff is not UTF-8: --encoding cp1252 may be meant",
        ),
        ("sep=;\na;b\n", "begins with 'sep=;': --input-delimiter ';' may be meant"),
        ("SEP=\t\na\tb\n", "begins with 'SEP=\\t': --input-delimiter '\\t' may be meant"),
        (gzip.compress(b"a,b\n", mtime=0), "is compressed by gzip: unpack it first"),
        (zstandard.compress(b"a,b\n"), "is compressed by zstd: unpack it first"),
        (b"PK\x03\x04", "is a zip, as workbooks are: --input-format xlsx may be meant"),
        ("sep=,\n", "there is no header row to take the columns from"),
        ("a\n".encode("utf-32"), "begins as UTF-32 does: --encoding utf-32 may be meant"),
        ("a\n1\n".encode("utf-16"), "begins as UTF-16 does: --encoding utf-16 may be meant"),
        ("a\n1\n".encode("utf-16-le"), "begins as UTF-16 does: --encoding utf-16-le may be meant"),
        ("a\n1\n".encode("utf-16-be"), "begins as UTF-16 does: --encoding utf-16-be may be meant"),
        (
            "a,b\n" + "x" * (CELL_MAX + 1) + ",2\n",
            "line 2: malformed CSV: field larger than field limit (1000000)",
        ),
    ],
)
def test_wrong_csv_is_named_by_its_line(text: str | bytes, message: str) -> None:
    assert wrong(read_csv, text) == message


def test_a_chosen_column_that_csv_lacks_or_has_twice_is_named() -> None:
    assert wrong(read_csv, "a,b\n1,2\n", ["a", "c"]) == "column 'c' is not in the header"


def test_a_cell_as_large_as_may_be_is_read() -> None:
    assert read(read_csv, "a\n" + "x" * CELL_MAX + "\n")[1] == [["x" * CELL_MAX]]


JSON_ROWS = (
    '{"a": 1, "b": "x"}',
    '{"b": null}',
    '{"b": [1, {"c": "]}"}], "a": 18446744073709551616}',
)
JSON_CELLS = [[1, "x"], [None, None], [18446744073709551616, [1, {"c": "]}"}]]]


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (read_ndjson, "\n".join(JSON_ROWS)),
        (read_ndjson, "\ufeff" + "\r\n\r\n \n".join(JSON_ROWS) + "\r\n"),
        (read_json, "[" + ",".join(JSON_ROWS) + "]"),
        (read_json, "\ufeff\r\n [ " + "\n,\t".join(JSON_ROWS) + "]\n\n"),
    ],
)
def test_objects_give_the_first_ones_keys_in_its_order(reader: Reader, text: str) -> None:
    assert read(reader, text) == (("a", "b"), JSON_CELLS)


def test_chosen_columns_pick_from_objects_and_name_the_cells_of_arrays() -> None:
    text = '[{"a": 1, "b": 2, "c": 3}, [4, 5], {"c": 6, "d": 7}]'
    assert read(read_json, text, ["c", "a"]) == (("c", "a"), [[3, 1], [4, 5], [6, None]])
    assert read(read_json, "[[1, 2]]", ["x", "y"])[1] == [[1, 2]]


def test_a_chosen_column_may_begin_later() -> None:
    text = "\n".join(['{"a": 1}'] * 99 + ['{"b": 2}'])
    assert read(read_ndjson, text, ["a", "b"])[1] == [[1, None]] * 99 + [[None, 2]]


def test_a_chosen_column_of_no_object_is_named() -> None:
    message = "column 'c' is no key of the first {} objects"
    assert wrong(read_ndjson, '{"a": 1}\n{"b": 1}', ["a", "c"]) == message.format(2)
    assert wrong(read_json, "[" + '{"a": 1},' * 200 + '{"c": 1}]', ["c"]) == message.format(100)


def test_no_rows_need_chosen_columns() -> None:
    for reader, text in ((read_ndjson, ""), (read_ndjson, "\n \n"), (read_json, " [ ] ")):
        assert wrong(reader, text) == "there is no row to take the columns from: choose columns"
        assert read(reader, text, ["a"]) == (("a",), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2: malformed JSON: unexpected character"),
        ('{"a": 1}\n\n{"a": 1', "line 3: malformed JSON: unexpected end of data"),
        ('{"a": 1}\n{"a": 1} {"a": 2}\n', "line 2: malformed JSON: unexpected content"),
        ('{"a": 1}\n5\n', "line 2: neither an object nor an array"),
        ('{"a": 1}\n{"b": 1, "a": 2}\n', "line 2: key 'b' is not one of the first object's"),
        ('{"a": 1}\n[1, 2]\n', "line 2: 2 cells for 1 columns"),
        ("[1]\n", "line 1: no object to take the columns from: choose columns"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: malformed JSON: byte 7 (0xff) is not UTF-8"),
        ('{"a": "\\ud800"}\n', "line 1: malformed JSON: "),
        ('{"a": NaN}\n', "line 1: malformed JSON: "),
        ('{"a": 1e400}\n', "line 1: malformed JSON: "),
        ("[" * 100_000, "line 1: malformed JSON: "),
        ('{"a": 1}\n' + " " * ITEM_MAX_BYTES + "{}", "line 2: longer than 4,194,304 bytes"),
    ],
)
def test_wrong_ndjson_is_named_by_its_line(text: str | bytes, message: str) -> None:
    assert wrong(read_ndjson, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no JSON array of rows: it doesn't begin with '['"),
        ('{"data": []}', "there is no JSON array of rows: it doesn't begin with '['"),
        (
            "[",
            "line 1, element 1 (byte 1): the end of the file where an object or array should begin",
        ),
        ('[{"a": 1}, ]', "line 1, element 2 (byte 11): ']' where an object or array should begin"),
        ('[{"a": 1}, 5]', "line 1, element 2 (byte 11): '5' where an object or array should begin"),
        ('[{"a": 1} {"a": 2}]', "byte 10: '{' instead of ',' or ']'"),
        ('[{"a": 1}', "byte 9: the end of the file instead of ',' or ']'"),
        ('[{"a": 1}}', "byte 9: '}' instead of ',' or ']'"),
        ('[{"a": 1}] x', "byte 11: 'x' after the array's end"),
        ('[{"a": 1}, {"a": "2', "line 1, element 2 (byte 11): the file ends within it"),
        (
            '[{"a": 1}, {"a": [}]',
            "line 1, element 2 (byte 11): malformed JSON: unexpected character",
        ),
        ('[{"a": 1}, {"a": [', "line 1, element 2 (byte 11): the file ends within it"),
        (
            '[{"a": 1}, {"a": ]]',
            "line 1, element 2 (byte 11): malformed JSON: unexpected character",
        ),
        (
            '[{"a": 1}, {"b": 2}]',
            "line 1, element 2 (byte 11): key 'b' is not one of the first object's",
        ),
        ('[{"a": 1}, [1, 2]]', "line 1, element 2 (byte 11): 2 cells for 1 columns"),
        ("[[1]]", "line 1, element 1 (byte 1): no object to take the columns from: choose columns"),
        ("[" * 100_000 + "]" * 100_000, "line 1, element 1 (byte 1): malformed JSON: "),
        ('["' + "x" * ITEM_MAX_BYTES, "line 1, element 1 (byte 1): '\"' where an object or array"),
        (
            '[["' + "x" * ITEM_MAX_BYTES + '"]]',
            "line 1, element 1 (byte 1): longer than 4,194,304 bytes",
        ),
        ("[[" + "1," * ITEM_MAX_BYTES, "line 1, element 1 (byte 1): longer than 4,194,304 bytes"),
    ],
)
def test_wrong_json_is_named_by_its_element_and_byte(text: str, message: str) -> None:
    assert wrong(read_json, text).startswith(message)


def test_rows_before_the_wrong_one_are_given() -> None:
    table = read_ndjson(io.BufferedReader(io.BytesIO(b'{"a": 1}\n{"a": 2}\nx')))
    assert [next(table.rows), next(table.rows)] == [[1], [2]]
    with pytest.raises(SourceError, match="line 3"):
        next(table.rows)


@pytest.mark.parametrize(
    ("facts", "content"),
    [
        ({"delimiter": ";"}, "a,b;ü\n1,2;é\n".encode()),
        ({"delimiter": "\t", "encoding": "cp1252"}, "a,b\tü\r\n1,2\té\r\n".encode("cp1252")),
        ({"delimiter": ";", "encoding": "utf-16"}, '"a,b";ü\n1,2;é\n'.encode("utf-16")),
        ({"delimiter": ";", "encoding": "UTF8"}, "\ufeffa,b;ü\n1,2;é\n".encode()),
    ],
)
def test_csv_of_other_delimiters_and_encodings(facts: dict[str, Any], content: bytes) -> None:
    assert read(partial(read_csv, **facts), content) == (("a,b", "ü"), [["1,2", "é"]])


def test_what_is_of_another_encoding_is_named() -> None:
    utf_16 = partial(read_csv, encoding="utf-16")
    assert wrong(utf_16, "a,b\n".encode("utf-16-le")).startswith("line 1: UTF-16 stream does not")
    ascii_only = partial(read_csv, encoding="ascii")
    assert wrong(ascii_only, "a\nü\n") == "line 2: byte 0xc3 is not ASCII"
