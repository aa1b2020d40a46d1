"""Hypothesis strategies that more than one test needs."""

from typing import Any

from hypothesis import strategies as st

AWKWARD = "=+-@\t\r\n\",;|'\\ \0.eE019aZé\u0301\ufeff\u2028ş→\N{GRINNING FACE}"
"""Characters that mean something to CSV, to a spreadsheet or to some reader."""

texts = st.text(AWKWARD, max_size=8) | st.text(max_size=8)
integers = st.integers() | st.integers(-(10**400), 10**400)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | floats | texts
cells: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value, as it is decoded."""
