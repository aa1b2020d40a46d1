"""Upstream's side: the client, generated loads, files to exports, and following completions."""
