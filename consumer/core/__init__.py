"""Decisions without I/O and without a clock: one export's state, and what may be committed."""
