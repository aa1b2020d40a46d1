"""PDF: a table, written page by page, with the same memory for any length.

Not done: right-to-left order, ligatures and shaped scripts (see ``text``); fonts with PostScript
outlines or colour bitmaps (see ``fonts``).
"""

from consumer.formats.pdf.fonts import FontStack, load_fonts
from consumer.formats.pdf.writer import PdfWriter

__all__ = ["FontStack", "PdfWriter", "load_fonts"]
