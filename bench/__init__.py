"""Measurements: ratios within one run and CPU seconds. Never a test, as machines are noisy."""
