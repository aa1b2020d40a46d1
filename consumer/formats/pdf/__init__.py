"""PDF: a table, written page by page, with the same memory for any length.

Not done: marks and ligatures of scripts that aren't shaped (see ``scripts``); fonts with PostScript
outlines or colour bitmaps (see ``fonts``).
"""

from consumer.formats.pdf.fonts import FontStack, load_fonts
from consumer.formats.pdf.writer import PdfWriter

__all__ = ["FontStack", "PdfWriter", "load_fonts"]
