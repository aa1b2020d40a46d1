"""One partition at work: its lane, turns, commits and transactions."""
