from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from producer.sources.table import SourceError
from schemas.vocabulary import Format
from sluice.cli import application
from sluice.errors import UsageError, UserError
from sluice.submit_columns import given_columns, parse_options
from sluice.submit_files import InputFormat, input_format_of


def error_of(*arguments: str) -> BaseException:
    """What ``sluice submit`` ends with. Nothing listens where it would connect to."""
    result = CliRunner().invoke(
        application(["submit"]),
        ["submit", *arguments],
        standalone_mode=False,
        env={"SLUICE_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )
    assert result.exception is not None, result.output
    assert not result.output
    return result.exception


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", InputFormat.CSV),
        ("dir.json/a.CSV", InputFormat.CSV),
        ("a.json", InputFormat.JSON),
        ("a.ndjson", InputFormat.NDJSON),
        ("a.b.jsonl", InputFormat.NDJSON),
        ("a.xlsx", InputFormat.XLSX),
        ("A.XLSM", InputFormat.XLSX),
        ("s3://bucket/deep/a.json", InputFormat.JSON),
    ],
)
def test_the_extension_tells_the_input_format(name: str, expected: InputFormat) -> None:
    assert input_format_of(name) is expected


@pytest.mark.parametrize("name", ["-", "orders", "orders.txt", "csv", ".csv"])
def test_where_it_tells_nothing_the_input_format_has_to_be_given(name: str) -> None:
    with pytest.raises(UsageError, match="--input-format"):
        input_format_of(name)


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ('a, "b,c",ş', ["a", "b,c", "ş"]),
        ("", []),
    ],
)
def test_columns_are_divided_by_commas(given: str, columns: list[str]) -> None:
    assert given_columns(given, [], []).chosen == columns


def test_columns_are_described_by_key_header_and_type() -> None:
    given = ["a", "b:B", "c::date", "d:D:integer", '"e:e":"E: e":decimal']
    columns = given_columns(None, given, [])
    assert columns.chosen == ["a", "b", "c", "d", "e:e"]
    assert columns.types == {"c": "date", "d": "integer", "e:e": "decimal"}
    assert columns.headers == {"b": "B", "d": "D", "e:e": "E: e"}


def test_headers_are_those_given_then_the_files_own() -> None:
    columns = given_columns(None, [], ["b=B=2", "c="])
    assert columns.chosen is None
    assert columns.described(["a", "b", "c", "d_2"], ["a", "b", "c", "d"]) == [
        {"key": "a"},
        {"key": "b", "header": "B=2"},
        {"key": "c", "header": ""},
        {"key": "d_2", "header": "d"},
    ]


@pytest.mark.parametrize(
    ("file_format", "pair", "value"),
    [
        (Format.CSV, "header=false", False),
        (Format.CSV, "bom=true", True),
        (Format.CSV, "bom=yes", "yes"),
        (Format.CSV, "delimiter=;", ";"),
        (Format.CSV, "delimiter==", "="),
        (Format.CSV, "null=", ""),
        (Format.CSV, "null=true", "true"),
        (Format.CSV, "null=7", "7"),
        (Format.CSV, "delimiter=\\t", "\t"),
        (Format.PDF, "records_per_page=25", 25),
        (Format.PDF, "records_per_page=-1", -1),
        (Format.PDF, "records_per_page=2.5", "2.5"),
        (Format.PDF, "records_per_page=" + "9" * 5_000, "9" * 5_000),
        (Format.PDF, "page_size=A3", "A3"),
    ],
)
def test_options_have_the_type_that_the_format_wants(
    file_format: Format, pair: str, value: Any
) -> None:
    assert parse_options(file_format, [pair]) == {pair.partition("=")[0]: value}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "csv", "--option", "nope=1"], "--option nope: is not an option"),
        (["--format", "pdf", "--option", "bom=true"], "--option bom: is not an option"),
        (
            ["--format", "xlsx", "--option", "x=1"],
            "is not an option of xlsx, which has header, sheet",
        ),
        (["--format", "csv", "--input-delimiter", "ab"], "--input-delimiter: must be one char"),
        (["--format", "csv", "--input-delimiter", '"'], "--input-delimiter: must be one char"),
        (["--format", "csv", "--encoding", "hex"], "--encoding hex: is not known"),
        (["--format", "csv", "--encoding", "nope"], "--encoding nope: is not known"),
        (["--format", "csv", "--timeout", "5"], "--timeout is for --wait"),
        (["--format", "csv", "--option", "bom=maybe"], "--option bom: must be true or false"),
        (["--format", "csv", "--option", "bom"], "--option bom: must be of the form name=value"),
        (["--format", "csv", "--option", "bom=true", "--option", "bom=true"], "given twice"),
        (["--format", "pdf", "--option", "records_per_page=0"], "--option records_per_page: "),
        (["--format", "csv", "--export-id", "a/b"], "--export-id: must be a letter or digit, then"),
        (["--format", "csv", "--export-id", ""], "--export-id: "),
        (["--format", "csv", "--user", ""], "--user: "),
        (["--format", "csv", "--columns", "n,n"], "--columns: .*'n'"),
        (["--format", "csv", "--columns", ""], "--columns: "),
        (["--format", "csv", "--column", "n::int"], "--column n: the type must be 'string'"),
        (["--format", "csv", "--column", "n:N:integer:x"], "--column n:N:integer:x: must be KEY"),
        (["--format", "csv", "--column", ""], "--column : must be KEY:HEADER:TYPE"),
        (["--format", "csv", "--column", "a\nb::date"], "a part with a quote or a line break must"),
        (["--format", "csv", "--column", '"a"b:c'], '--column "a"b:c: a part with a quote'),
        (["--format", "csv", "--columns", 'a,"b'], '--columns a,"b: a part with a quote'),
        (["--format", "csv", "--column", "n", "--column", "n:N"], "--column n: is given twice"),
        (["--format", "csv", "--columns", "n", "--column", "m::date"], "--column m: is not one"),
        (["--format", "csv", "--columns", "name", "--header", "nam=N"], "did you mean name"),
        (["--format", "csv", "--column", "n:N", "--header", "n=M"], "--header n: is given twice"),
        (["--format", "csv", "--header", "n"], "--header n: must be of the form KEY=TEXT"),
        (
            ["--format", "csv", "--header", "n=" + "x" * 1001],
            "column n: the header must have at most 1000",
        ),
        (["--format", "csv", "--option", "delimeter=;"], r"\(did you mean delimiter\?\)"),
        (["--format", "csv", "--sheet", "A"], "--sheet: is for XLSX files, and this is CSV"),
        (
            ["--format", "csv", "--input-format", "xlsx", "--encoding", "cp1252"],
            "--encoding: is for CSV files, and this is XLSX",
        ),
        (["--format", "json", "--option", "header=true"], "--option header: is not an option"),
        (["--format", "xml", "--option", "root=a b"], "--option root: must be a name of XML"),
        (["--format", "csv", "--option", "null==1"], "--option null: must not begin as a formula"),
    ],
)
def test_what_is_called_wrongly_is_named_before_anything_is_opened(
    arguments: list[str], words: str
) -> None:
    error = error_of("no-such-file.csv", *arguments)
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    with pytest.raises(UsageError, match=words):
        raise error


def test_every_wrong_argument_is_named_at_once() -> None:
    error = error_of("x.csv", "--format", "csv", "--export-id", " ", "--option", "header=1")
    assert "--export-id: " in str(error)
    assert "--option header: " in str(error)


@pytest.mark.parametrize(
    ("name", "content", "arguments", "words"),
    [
        ("a.csv", "", [], "there is no header row"),
        ("a.csv", "n,m\n1,2\n", ["--columns", "n,x"], "column 'x' is not in the header"),
        ("a.xlsx", "n,n\n1,2\n", [], "is no XLSX workbook"),
        ("a.csv", ",".join(map(str, range(257))), [], "columns: must have at most 256"),
        ("a.ndjson", '{"n": 1}\n', ["--columns", "n,x"], "column 'x' is no key of the first 1"),
        ("a.ndjson", "", [], "there is no row to take the columns from"),
        ("a.ndjson", "{}\n", [], "columns: must have at least 1"),
        ("a.ndjson", "{\n", [], "line 1: malformed JSON"),
        ("a.json", "[]", [], "there is no row to take the columns from"),
        ("a.json", "[[1]]", [], "line 1, element 1 (byte 1): no object to take the columns from"),
        ("a.json", '{"data": [{"n": 1}]}', [], "there is no JSON array of rows"),
        ("a.csv", "n,m\n1,2\n", ["--column", "x::integer"], "column 'x' is not in the header"),
    ],
)
def test_a_wrong_file_is_named_before_kafka_is_reached(
    tmp_path: Path, name: str, content: str, arguments: list[str], words: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    error = error_of(str(file), "--format", "csv", *arguments)
    assert isinstance(error, SourceError | UserError)
    assert not isinstance(error, UsageError)
    assert str(error).startswith(f"{file}: {words}")


def test_a_header_for_no_column_of_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("name,n\n1,2\n")
    error = error_of(str(file), "--format", "csv", "--header", "nme=Name")
    assert isinstance(error, UserError)
    assert str(error) == "--header nme: is not a column (did you mean name?)"


def test_an_old_workbook_is_refused_by_name() -> None:
    error = error_of("a.xls", "--format", "csv")
    assert str(error) == "a.xls: an old .xls can't be read: save it as .xlsx"


def test_a_missing_file_is_named() -> None:
    error = error_of("missing.csv", "--format", "csv")
    assert str(error) == "missing.csv: can't be read: No such file or directory"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/dir.csv/", "must name an object, as in s3://bucket/key"),
        *(
            (
                f"s3://bucket/{key}",
                "names a key with an empty part, . or .., or a control character",
            )
            for key in ("a//b.csv", "/b.csv", "a/./b.csv", "a/../b.csv", "a\tb.csv")
        ),
        ("s3://who:secret@bucket/a.csv", "must name a bucket, as in s3://bucket/key"),
        ("https://bucket.example/a.csv", "must be a path, file:///path, or s3://"),
    ],
)
def test_a_url_of_no_object_is_refused_without_its_password(url: str, message: str) -> None:
    error = error_of(url, "--format", "csv", "--input-format", "csv")
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket", "s3://bucket: must name an object, as in s3://bucket/key"),
        ("s3://", "s3://: must name a bucket, as in s3://bucket/key, and nothing else"),
        ("https://host/a", "https://host/a: must be a path, file:///path, or s3://, gs:// or az:"),
    ],
)
def test_a_url_of_no_object_is_named_before_the_other_arguments(url: str, message: str) -> None:
    for arguments in ([], ["--option", "nope=1"], ["--sheet", "A"], ["--timeout", "1"]):
        error = error_of(url, "--format", "csv", *arguments)
        assert isinstance(error, UsageError)
        assert str(error).startswith(message)


def test_a_file_url_is_its_path(tmp_path: Path) -> None:
    file = tmp_path / "none.csv"
    error = error_of(f"file://{file}", "--format", "csv")
    assert str(error) == f"file://{file}: can't be read: No such file or directory"
