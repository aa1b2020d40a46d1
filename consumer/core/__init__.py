"""Pure decisions, without I/O or a clock: one export's state, and what may be committed."""
