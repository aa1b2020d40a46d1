"""Replays recorded exports under new ids, as a load test: read, pace, send, follow, summarise."""
