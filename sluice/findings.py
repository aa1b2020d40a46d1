"""Words pydantic's findings about a setting or an argument for the user.

Invariant: a finding without a wording here still shows the value.
"""

from pydantic_core import ErrorDetails

_WORDS = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
}


def in_words(finding: ErrorDetails) -> str:
    """``must be a whole number, not 'many'``."""
    context = finding.get("ctx", {})
    if finding["type"] == "value_error":
        return str(context["error"])
    words = _WORDS.get(finding["type"], "must be valid").format_map(context)
    return f"{words}, not {str(finding['input'])[:60]!r}"
