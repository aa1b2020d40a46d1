"""PDF: a table of one line a row, written page by page, with the same memory for any length."""

from consumer.formats.pdf.fonts import FontStack, load_fonts
from consumer.formats.pdf.writer import PdfWriter

__all__ = ["FontStack", "PdfWriter", "load_fonts"]
