"""The styles of a workbook's cells: ``styles.xml``, and the numbers by which cells refer to it.

Invariant: a style's number is its place in ``cellXfs``.
"""

from typing import Final

GENERAL: Final = 0
HEADER: Final = 1
QUOTED: Final = 2
"""Text that begins as a formula does: it stays text when someone edits the cell."""
QUOTED_HEADER: Final = 3
WHOLE: Final = 4
"""An integer that the general format would show as 1.2E+11."""
DATE: Final = 5
TIMESTAMP: Final = 6
TIMESTAMP_MILLIS: Final = 7
_FRACTION: Final = 8

MOST_DECIMALS: Final = 15
"""A double keeps fifteen digits, whatever they are."""

_PLAIN = 'numFmtId="0" fontId="0" fillId="0" borderId="0"'
_FONT = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
_WHOLE_FORMAT = 1  # built in: "0"
_FIRST_OWN_FORMAT = 164  # below are those that are built in
_FORMATS = [
    *("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd hh:mm:ss.000"),
    *("0." + "0" * decimals for decimals in range(1, MOST_DECIMALS + 1)),
]


def fraction(decimals: int) -> int:
    """The style of a number with 1 to ``MOST_DECIMALS`` decimals, all of which are shown."""
    return _FRACTION + decimals - 1


def styles_xml() -> str:
    """What stands within ``styleSheet``."""
    own = [*enumerate(_FORMATS, _FIRST_OWN_FORMAT)]
    formats = "".join(f'<numFmt numFmtId="{number}" formatCode="{code}"/>' for number, code in own)
    cells = [
        _cell(),
        _cell(font=1),
        _cell(quoted=True),
        _cell(font=1, quoted=True),
        _cell(number_format=_WHOLE_FORMAT),
        *(_cell(number_format=number) for number, _ in own),
    ]
    # The second fill is Excel's own: it is there whether anything uses it or not.
    fills = "".join(
        f'<fill><patternFill patternType="{kind}"/></fill>' for kind in ("none", "gray125")
    )
    return (
        f'<numFmts count="{len(own)}">{formats}</numFmts>'
        f'<fonts count="2"><font>{_FONT}</font><font><b/>{_FONT}</font></fonts>'
        f'<fills count="2">{fills}</fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        f'<cellStyleXfs count="1"><xf {_PLAIN}/></cellStyleXfs>'
        f'<cellXfs count="{len(cells)}">{"".join(cells)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    )


def _cell(font: int = 0, number_format: int = 0, *, quoted: bool = False) -> str:
    facts = f'numFmtId="{number_format}" fontId="{font}" fillId="0" borderId="0" xfId="0"'
    marks = [
        ' quotePrefix="1"' if quoted else "",
        ' applyNumberFormat="1"' if number_format else "",
        ' applyFont="1"' if font else "",
    ]
    return f"<xf {facts}{''.join(marks)}/>"
