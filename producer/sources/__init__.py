"""Reads rows from CSV, NDJSON, JSON and XLSX files in constant memory."""
