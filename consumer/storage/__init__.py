"""Bytes to a published file, behind one Protocol."""
