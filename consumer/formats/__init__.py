"""Rows to bytes: one module or package per format, all behind one Protocol."""
