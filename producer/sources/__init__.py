"""Files of rows: CSV, NDJSON and JSON, read in constant memory."""
