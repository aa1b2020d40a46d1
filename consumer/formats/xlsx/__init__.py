"""XLSX: a workbook of sheets, written front to back, with the same memory for any length.

The rules are those of ECMA-376: Part 1, SpreadsheetML, and Part 2, packages; and Excel's own where
it is stricter. Not done: formulas, and a table of shared strings, which would have to be kept.
"""

from consumer.formats.xlsx.writer import XlsxWriter

__all__ = ["XlsxWriter"]
