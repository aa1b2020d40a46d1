"""Clients of the topics: publish exports, generate load, read files, follow completions, replay."""
