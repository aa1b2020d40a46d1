"""The service: batches in, files and terminal events out."""
