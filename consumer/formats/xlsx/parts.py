"""The parts of a workbook besides its rows: sheet heads and tails, and shared parts.

Namespaces and content types are those of ECMA-376's transitional form, which every reader knows.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from consumer.formats.xlsx.styles import styles_xml

_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE_TYPE = "application/vnd.openxmlformats-package."
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml."
_UNFIT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML 1.0 can't hold."""


class WorkbookSheet(NamedTuple):
    """A sheet that is whole: its name, and the range under its filter, or None."""

    name: str
    filtered: str | None


def sheet_path(number: int) -> str:
    """Where a sheet lies in the package; they count from 1."""
    return f"xl/worksheets/sheet{number}.xml"


def sheet_head(columns: bytes, *, first: bool, frozen: bool) -> bytes:
    """What stands before a sheet's rows. Whether the header row is frozen is how it is known."""
    selected = ' tabSelected="1"' if first else ""
    view = f'<sheetView{selected} workbookViewId="0"'
    if frozen:
        pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        view += f'>{pane}<selection pane="bottomLeft"/></sheetView>'
    else:
        view += "/>"
    before = f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetViews>{view}</sheetViews>'
    return b"".join((before.encode(), columns, b"<sheetData>"))


def sheet_tail(filtered: str | None) -> bytes:
    """What stands after them."""
    rows_filter = f'<autoFilter ref="{filtered}"/>' if filtered else ""
    return f"</sheetData>{rows_filter}</worksheet>".encode()


def area(columns: int, rows: int) -> str:
    """A range from the first cell on."""
    return f"A1:{_letters(columns)}{rows}"


def before_sheets(title: str, dated_at: datetime | None) -> Iterator[tuple[str, bytes]]:
    """The parts that come first, by their names.

    By these names, and that of a sheet as the third, programs know an XLSX from another zip.
    """
    links = [
        (f"{_OFFICE_LINKS}/officeDocument", "xl/workbook.xml"),
        (f"{_PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
    ]
    yield "_rels/.rels", _links(links)
    yield "docProps/core.xml", _properties(title, dated_at)


def after_sheets(sheets: Sequence[WorkbookSheet]) -> Iterator[tuple[str, bytes]]:
    """The parts that come last, by their names."""
    paths = [f"worksheets/sheet{number}.xml" for number in range(1, len(sheets) + 1)]
    links = [
        *((f"{_OFFICE_LINKS}/worksheet", path) for path in paths),
        (f"{_OFFICE_LINKS}/styles", "styles.xml"),
    ]
    yield "xl/workbook.xml", _workbook(sheets)
    yield "xl/_rels/workbook.xml.rels", _links(links)
    yield "xl/styles.xml", _document(f'styleSheet xmlns="{_MAIN}"', styles_xml())
    yield "[Content_Types].xml", _content_types(paths)


def _workbook(sheets: Sequence[WorkbookSheet]) -> bytes:
    listed = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, sheet in enumerate(sheets, 1)
    )
    # Excel makes such a hidden name for each filter, and LibreOffice looks for it.
    names = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{index}" hidden="1">'
        f"{escape(_reference(sheet.name, sheet.filtered))}</definedName>"
        for index, sheet in enumerate(sheets)
        if sheet.filtered
    )
    names = f"<definedNames>{names}</definedNames>" if names else ""
    return _document(
        f'workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE_LINKS}"',
        f"<bookViews><workbookView/></bookViews><sheets>{listed}</sheets>{names}",
    )


def _reference(name: str, filtered: str) -> str:
    absolute = re.sub("([A-Z]+)([0-9]+)", r"$\1$\2", filtered)
    return "'" + name.replace("'", "''") + f"'!{absolute}"


def _links(links: Sequence[tuple[str, str]]) -> bytes:
    listed = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(links, 1)
    )
    return _document(f'Relationships xmlns="{_PACKAGE}/relationships"', listed)


def _properties(title: str, dated_at: datetime | None) -> bytes:
    """The document's title and date."""
    # None without the request's time: any other would differ from one attempt to the next.
    dates = ""
    if dated_at:
        date = dated_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        dates = "".join(
            f'<dcterms:{name} xsi:type="dcterms:W3CDTF">{date}</dcterms:{name}>'
            for name in ("created", "modified")
        )
    return _document(
        f'cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
        f"<dc:title>{escape(_UNFIT.sub(' ', title))}</dc:title>{dates}",
    )


def _content_types(paths: Sequence[str]) -> bytes:
    parts = [
        *((f"/xl/{path}", f"{_SHEET_TYPE}worksheet+xml") for path in paths),
        ("/xl/workbook.xml", f"{_SHEET_TYPE}sheet.main+xml"),
        ("/xl/styles.xml", f"{_SHEET_TYPE}styles+xml"),
        ("/docProps/core.xml", f"{_PACKAGE_TYPE}core-properties+xml"),
    ]
    listed = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in parts)
    defaults = (
        f'<Default Extension="rels" ContentType="{_PACKAGE_TYPE}relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
    )
    return _document(f'Types xmlns="{_PACKAGE}/content-types"', defaults + listed)


def _document(root: str, content: str) -> bytes:
    """A part; ``root`` is the name of its element with the attributes."""
    return f"{_DECLARATION}<{root}>{content}</{root.split(maxsplit=1)[0]}>".encode()


def _letters(column: int) -> str:
    """The letters of a column; they count from 1."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
