"""`sluice submit` as a user runs it: as a process, on a real Kafka."""

import gzip
import json
import signal
import subprocess
from datetime import date

import openpyxl
import pytest

from schemas.completions import ExportCancelled
from schemas.requests import CancelRequested, ExportRequested
from schemas.topics import Topics
from tests.support.nodes import SLUICE, NodeProcess
from tests.support.outcomes import committed, events, requests_of, rows_of
from tests.support.shell import Shell
from tests.support.topics import PARTITIONS
from tests.support.upstream import file_names

pytestmark = pytest.mark.kafka

ROWS = [["id", "name", "note"], ["1", "Çağla ş→ğ", '=say "hi",\r\nthen go'], ["2", "", "-5 %"]]
CSV = 'id,name,note\r\n1,Çağla ş→ğ,"=say ""hi"",\r\nthen go"\r\n2,,-5 %\r\n'.encode()


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("orders.csv", CSV, []),
        ("orders.csv", CSV, ["--columns", "id,name,note"]),
        ("orders.txt", b"\xef\xbb\xbf" + CSV, ["--input-format", "csv"]),
        (
            "orders.ndjson",
            "\n".join(json.dumps(dict(zip(ROWS[0], row, strict=True))) for row in ROWS[1:]),
            [],
        ),
        ("orders.json", json.dumps(ROWS[1:], indent=1), ["--columns", "id,name,note"]),
    ],
)
async def test_a_file_comes_out_as_it_went_in(
    shell: Shell, node: NodeProcess, name: str, content: str | bytes, arguments: list[str]
) -> None:
    file = shell.file(name, content)
    options = ["--format", "csv", "--option", "escape_formulas=false", "--export-id", "ord-1"]
    done = shell.run("submit", file, *options, *arguments, "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    export_id, line = done.stdout.splitlines()
    assert export_id == "ord-1"
    assert line.startswith("completed ord-1 2 rows ")
    assert (shell.directory / "exports" / "ord-1.csv").read_bytes() == CSV


async def test_a_file_comes_out_in_another_format_and_is_verified(
    shell: Shell, node: NodeProcess
) -> None:
    file = shell.file("orders.csv", CSV)
    done = shell.run(
        *("submit", file, "--format", "json", "--option", "compression=gzip"),
        *("--column", "id::integer", "--column", "name", "--column", "note:Note:string"),
        *("--export-id", "ord-1", "--wait"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    content = (shell.directory / "exports" / "ord-1.json.gz").read_bytes()
    rows = [dict(zip(ROWS[0], [int(row[0]), *row[1:]], strict=True)) for row in ROWS[1:]]
    assert json.loads(gzip.decompress(content)) == rows
    verified = shell.run("verify", str(shell.directory / "exports"))
    assert verified.returncode == 0
    assert f"ord-1.json.gz 2 rows {len(content)} bytes" in verified.stdout


async def test_a_workbook_comes_out_with_the_headers_that_it_has(
    shell: Shell, node: NodeProcess
) -> None:
    """Written by openpyxl, read from a file and from a pipe; two columns are called alike."""
    book = openpyxl.Workbook()
    book.active.title = "Orders"
    for row in (["id", "Note", "Note", "day"], [1, "=1+1", None, date(2026, 11, 21)], [2, 1.5]):
        book.active.append(row)
    book.active["B2"].data_type = "s"
    book.create_sheet("Other").append(["x"])
    book.save(shell.directory / "orders.xlsx")
    given = ("--format", "json", "--header", "id=Number", "--wait")
    done = shell.run("submit", "orders.xlsx", *given, "--export-id", "ord-1")
    assert (done.returncode, done.stderr) == (
        0,
        "sluice: orders.xlsx: has 2 sheets, 'Orders', 'Other': 'Orders' is read\n",
    )
    rows = json.loads((shell.directory / "exports" / "ord-1.json").read_bytes())
    assert rows == [
        {"id": 1, "Note": "=1+1", "Note_2": None, "day": "2026-11-21"},
        {"id": 2, "Note": 1.5, "Note_2": None, "day": None},
    ]
    piped = subprocess.run(
        [
            *(SLUICE, "submit", "-", "--input-format", "xlsx", "--sheet", "Orders"),
            *("--format", "csv", "--option", "line_ending=lf", "--export-id", "ord-2"),
            *given[2:],
        ],
        env=shell.environment,
        cwd=shell.directory,
        input=(shell.directory / "orders.xlsx").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (piped.returncode, piped.stderr) == (0, b"")
    text = (shell.directory / "exports" / "ord-2.csv").read_text("utf-8")
    assert text == "Number,Note,Note,day\n1,'=1+1,,2026-11-21\n2,1.5,,\n"


async def test_a_wait_for_no_node_is_no_silent_one(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    file = shell.file("orders.csv", CSV)
    with shell.start("submit", file, "--format", "csv", "--export-id", "ord-1", "--wait") as waits:
        assert waits.stderr
        assert waits.stdout
        group = shell.environment["SLUICE_GROUP_ID"]
        assert waits.stderr.readline().decode() == (
            f"sluice: waiting: no node of the group {group} is running; `sluice serve` starts one\n"
        )
        async with NodeProcess(shell.environment, shell.directory / "node.log"):
            assert waits.wait(30) == 0
        assert waits.stdout.read().splitlines()[1].startswith(b"completed ord-1 2 rows ")
        assert waits.stderr.read() == b""


async def test_semicolons_are_noticed_or_divide_and_no_end_is_waited_for_too_long(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    file = shell.file("orders.csv", "id;ad\n1;ü\n".encode("cp1254"))
    given = ("--format", "csv", "--encoding", "cp1254")
    noticed = shell.run("submit", file, *given)
    assert noticed.returncode == 0
    assert noticed.stderr == (
        "sluice: orders.csv: has one column, id;ad: --input-delimiter ';' may be meant\n"
    )
    more = (
        "--input-delimiter",
        ";",
        "--option",
        "delimiter=\\t",
        "--priority",
        "9",
        "--expires-in",
        "60",
    )
    late = shell.run("submit", file, *given, *more, "--wait", "--timeout", "0.5")
    export_id = late.stdout.strip()
    assert late.returncode == 1
    assert late.stderr == (
        f"sluice: {export_id} has not ended within 0.5 s and goes on; where no node runs,"
        " `sluice serve` starts one\n"
    )
    found = {request.export_id: request for request in await requests_of(bootstrap_servers, topics)}
    request = found[export_id]
    assert [column.key for column in request.columns] == ["id", "ad"]
    assert (request.priority, request.options.delimiter) == (9, "\t")
    assert request.expires_in_seconds == 60
    assert await rows_of(bootstrap_servers, topics, export_id) == [["1", "ü"]]


async def test_the_request_has_what_was_given(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    row = '{"b": null, "a": 18446744073709551617, "c": [1.5, "x"]}'
    given = ["--title", "Siparişler", "--user", "ayşe", "--option", "records_per_page=7"]
    arguments = ["--input-format", "json", "--format", "pdf", "--columns", "a,b", *given]
    done = shell.run("submit", "-", *arguments, stdin=f"[{row}, {row}]")
    assert (done.returncode, done.stderr) == (0, "")
    export_id = done.stdout.strip()
    (request,) = await requests_of(bootstrap_servers, topics)
    assert request == ExportRequested.model_validate(
        {
            "export_id": export_id,
            "format": "pdf",
            "columns": ["a", "b"],
            "title": "Siparişler",
            "user": "ayşe",
            "options": {"records_per_page": 7},
        }
    )
    rows = await rows_of(bootstrap_servers, topics, export_id)
    assert rows == [[18446744073709551617, None]] * 2


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("bad.csv", "n,t\n" + "1,x\n" * 5_000 + "2\n", "line 5002: 1 cells"),
        ("bad.csv", "n,t\n" + "1,x\n" * 5_000 + '"2,x\n', "line 5002: malformed CSV"),
        ("bad.ndjson", '{"n": 1}\n' * 5_000 + '{"n": 1, "m": 2}\n', "line 5001: key 'm'"),
        ("bad.json", "[" + '{"n": 1},' * 5_000 + "{]", "line 1, element 5001 (byte 45001)"),
        ("bad.json", "[" + '{"n": 1},' * 5_000 + '{"n": 1}', "byte 45009: the end of the file"),
    ],
)
async def test_what_is_wrong_in_the_middle_cancels(
    bootstrap_servers: str,
    topics: Topics,
    shell: Shell,
    node: NodeProcess,
    name: str,
    content: str,
    place: str,
) -> None:
    file = shell.file(name, content)
    line = shell.fails("submit", file, "--format", "csv", "--export-id", "ord-1", "--wait")
    assert line.startswith(f"{file}: {place}")
    (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert isinstance(event, ExportCancelled)
    assert event.export_id == "ord-1"
    assert event.message.startswith(f"{file}: {place}")
    assert file_names(shell.directory) == {"ord-1.manifest.json"}


async def test_what_is_wrong_from_the_start_publishes_nothing(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    for name, content, arguments in (
        ("a.csv", "n\n1\n", ["--columns", "m"]),
        ("a.csv", "", []),
        ("a.ndjson", "{", []),
        ("a.json", "[]", []),
        ("a.csv", "n\n1\n", ["--option", "nope=1"]),
        ("a.csv", "n\n1\n", ["--export-id", "/"]),
    ):
        file = shell.file(name, content)
        assert shell.run("submit", file, "--format", "csv", *arguments).returncode in {1, 2}
    assert shell.run("submit", "missing.csv", "--format", "csv").returncode == 1
    assert await requests_of(bootstrap_servers, topics) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_while_submitting_cancels(
    bootstrap_servers: str, topics: Topics, shell: Shell, number: signal.Signals, code: int
) -> None:
    arguments = ["submit", "-", "--input-format", "csv", "--format", "csv", "--export-id", "ord-1"]
    with shell.start(*arguments) as process:
        assert process.stdin
        process.stdin.write(b"n\n1\n")
        process.stdin.flush()
        # Rows come before the pipe goes on: what was written is on the topic already.
        await committed(bootstrap_servers, topics.records, at_least=1)
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stdout
        assert process.stderr
        assert process.stdout.read() == b""
        assert process.stderr.read() == b"sluice: interrupted: cancelled ord-1\n"
    requests = await requests_of(bootstrap_servers, topics)
    assert requests.count(CancelRequested(export_id="ord-1", message="interrupted")) == PARTITIONS


async def test_an_export_that_fails_fails_the_command(
    shell: Shell, bootstrap_servers: str, topics: Topics
) -> None:
    file = shell.file("orders.csv", "n\n" + "1\n" * 5_000)
    environment = shell.environment | {"SLUICE_MAX_EXPORT_BYTES": "1000"}
    async with NodeProcess(environment, shell.directory / "node.log"):
        done = shell.run("submit", file, "--format", "csv", "--export-id", "ord-1", "--wait")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].startswith("failed ord-1 after ")
    assert "too_large" in done.stdout


async def test_a_repeated_id_is_not_waited_for(shell: Shell, node: NodeProcess) -> None:
    file = shell.file("orders.csv", CSV)
    arguments = ["submit", file, "--format", "csv", "--export-id", "ord-1", "--wait"]
    assert shell.run(*arguments).returncode == 0
    done = shell.run(*arguments)
    assert done.returncode == 1
    assert done.stderr == (
        "sluice: ord-1 was requested before, and that ended as completed: "
        "a repeated id is ignored\n"
    )


@pytest.mark.long
@pytest.mark.parametrize("input_format", ["csv", "ndjson", "json"])
async def test_memory_does_not_grow_with_the_file(shell: Shell, input_format: str) -> None:
    small, large = (_peak_kib(shell, input_format, rows) for rows in (1_000, 200_000))
    assert large - small < 24 * 1024, (small, large)


def _peak_kib(shell: Shell, input_format: str, rows: int) -> int:
    file = shell.directory / f"{rows}.{input_format}"
    row = {"n": 123_456, "name": "Çağla Öztürk", "note": "something of a usual length"}
    with file.open("w", encoding="utf-8") as out:
        if input_format == "csv":
            out.write("n,name,note\n" + (",".join(map(str, row.values())) + "\n") * rows)
        else:
            joint = "\n" if input_format == "ndjson" else ","
            text = joint.join([json.dumps(row)] * rows)
            out.write(text if input_format == "ndjson" else f"[{text}]")
    return shell.peak_kib("submit", file, "--format", "csv")
