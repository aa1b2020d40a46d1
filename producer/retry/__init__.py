"""Runs failed exports again, each under a new id, from their recorded requests and batches."""
