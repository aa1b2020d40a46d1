"""Exports that have ended, known on every node from the completions topic."""
