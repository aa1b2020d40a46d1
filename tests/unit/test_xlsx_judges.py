"""Workbooks before judges that aren't ours: the standard's schemas, LibreOffice, Node's readers."""

import csv
import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from consumer.formats.xlsx import writer as writer_module
from schemas.records import Cell
from tests.formats.exports import COLUMNS, rows
from tests.support.npm import node_modules, require_tool
from tests.support.ooxml import schema
from tests.support.xlsx import write_xlsx, xlsx_request

pytestmark = pytest.mark.slow

EVERY_COLUMN: list[str | dict[str, Any]] = [
    *COLUMNS,
    {"key": "date", "type": "date"},
    {"key": "time", "type": "timestamp"},
    {"key": "decimal", "type": "decimal", "header": '=A<B>&"C"'},
]
SCHEMAS = {
    "xl/workbook.xml": "sml.xsd",
    "xl/styles.xml": "sml.xsd",
    "_rels/.rels": "opc-relationships.xsd",
    "xl/_rels/workbook.xml.rels": "opc-relationships.xsd",
}
SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def every_row() -> list[list[Cell]]:
    """Every kind of cell, and of style."""
    dates = ["2026-11-21", "1850-01-01", None]
    times = ["2026-11-21T10:00:00Z", "2026-11-21T10:00:00.5", "0001-01-01T00:00:00Z", None]
    decimals = ["12.50", "1", "123456789012", "1" * 30, 1.5, None]
    made = [
        [*row, dates[index % 3], times[index % 4], decimals[index % 6]]
        for index, row in enumerate(rows(30))
    ]
    made[1][1], made[2][1], made[3][1] = " spaced ", "\x01_x0041_\r\n\ufffe", "-"
    made[4][0], made[5][0], made[6][0] = 2**53 + 1, 10**12, 2**70
    return made


@pytest.fixture(params=[True, False], ids=["header", "no header"])
def content(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(writer_module, "MOST_SHEET_ROWS", 12)
    monkeypatch.setattr("consumer.formats.xlsx.widths._MOST_ROWS", 2)
    wanted = xlsx_request(EVERY_COLUMN, 'It\'s <a> & "b"', header=request.param)
    return write_xlsx(wanted, every_row())


def test_every_part_is_valid(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        parts = {name: etree.fromstring(package.read(name)) for name in package.namelist()}
    sheets = [name for name in parts if name.startswith("xl/worksheets/")]
    assert len(sheets) == 3
    for name, file in {**SCHEMAS, **dict.fromkeys(sheets, "sml.xsd")}.items():
        for element in parts[name].iter():
            # The schema has a simple type where the standard's text has this attribute.
            element.attrib.pop(SPACE, None)
        schema(file).assertValid(parts[name])


def test_the_schema_is_a_judge(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        sheet = package.read("xl/worksheets/sheet1.xml")
    for fault in (b"<row", b'<row spam="1"'), (b't="b"', b't="bool"'), (b"<v>", b"<v><v/>"):
        broken = sheet.replace(*fault, 1)
        assert broken != sheet
        assert not schema("sml.xsd").validate(
            etree.fromstring(broken, etree.XMLParser(recover=True))
        )


def test_every_part_has_a_content_type_and_is_linked(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        names = package.namelist()
        types = etree.fromstring(package.read("[Content_Types].xml"))
        links = etree.fromstring(package.read("xl/_rels/workbook.xml.rels"))
    listed = {element.get("PartName") for element in types} - {None}
    assert listed == {f"/{name}" for name in names if name.endswith(".xml")} - {
        "/[Content_Types].xml"
    }
    assert {f"xl/{link.get('Target')}" for link in links} == {
        name for name in names if name.startswith(("xl/worksheets/", "xl/styles"))
    }


def test_programs_tell_it_from_another_zip(content: bytes, tmp_path: Path) -> None:
    require_tool("file")
    path = tmp_path / "made"
    path.write_bytes(content)
    run = subprocess.run(
        ["file", "--brief", "--mime-type", path], capture_output=True, check=True, text=True
    )
    expected = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert run.stdout.strip() == expected


def test_libreoffice_reads_every_sheet(content: bytes, tmp_path: Path) -> None:
    require_tool("soffice")
    path = tmp_path / "made.xlsx"
    path.write_bytes(content)
    # Comma, quotes, UTF-8, from the first line; values as they are shown; all sheets.
    target = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,true,false,false,-1"
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", target, "--outdir", tmp_path, path],
        capture_output=True,
        check=True,
        timeout=200,
    )
    read: list[list[str]] = []
    for number, sheet in enumerate(sorted(tmp_path.glob("*.csv"), key=lambda one: len(one.name))):
        with sheet.open(newline="", encoding="utf-8") as file:
            lines = [*csv.reader(file)]
        if lines[0][0] == "id":
            assert lines[0][-1] == '=A<B>&"C"', number
            del lines[0]
        read += lines
    expected = every_row()
    assert len(read) == len(expected)
    assert [line[0] for line in read[:4]] == ["0", "1", "2", "3"]
    assert [line[0] for line in read[4:7]] == [
        "9007199254740993",
        "1000000000000",
        "1.18059162071741E+021",
    ]
    # Within a cell it makes LF of CR and LF.
    assert [line[1] for line in read[1:4]] == [" spaced ", "\x01_x0041_\n\ufffe", "-"]
    assert {line[3] for line in read} == {"TRUE", "FALSE"}
    assert [line[7] for line in read[:3]] == ["2026-11-21", "1850-01-01", ""]
    assert [line[8] for line in read[:4]] == [
        "2026-11-21 10:00:00",
        "2026-11-21 10:00:00.500",
        "0001-01-01T00:00:00Z",
        "",
    ]
    assert [line[9] for line in read[:6]] == ["12.50", "1", "123456789012", "1" * 30, "1.5", ""]


READERS = {
    "exceljs": (
        "4.4.0",
        """
const { Workbook } = require('exceljs');
const workbook = new Workbook();
workbook.xlsx.readFile(process.argv[2]).then(() => {
  const sheets = workbook.worksheets.map((sheet) => {
    const rows = [];
    sheet.eachRow({ includeEmpty: true }, (row) => rows.push(row.values.slice(1)));
    return rows;
  });
  console.log(JSON.stringify(sheets));
});
""",
    ),
    "xlsx": (
        "0.18.5",
        """
const { readFile, utils } = require('xlsx');
const workbook = readFile(process.argv[2]);
const sheets = workbook.SheetNames.map((name) =>
  utils.sheet_to_json(workbook.Sheets[name], { header: 1, defval: null, blankrows: true }));
console.log(JSON.stringify(sheets));
""",
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_in_node_have_the_same_rows(reader: str, content: bytes, tmp_path: Path) -> None:
    version, script = READERS[reader]
    modules = node_modules({reader: version})
    (tmp_path / "made.xlsx").write_bytes(content)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "read.js").write_text(script)
    run = subprocess.run(
        ["node", "read.js", "made.xlsx"], cwd=tmp_path, capture_output=True, check=True
    )
    sheets = json.loads(run.stdout)
    read = [row for sheet in sheets for row in (sheet[1:] if sheet[0][0] == "id" else sheet)]
    expected = every_row()
    assert len(read) == len(expected)
    for row, found in zip(expected, read, strict=True):
        assert found[2] == row[2]
        assert found[3] == row[3]
        assert found[0] == (str(row[0]) if row[0] == 2**53 + 1 else row[0])
