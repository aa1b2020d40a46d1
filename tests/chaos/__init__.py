"""Exactly once, proven by real process death: kills at named steps, and storms of faults."""
