"""The closed sets of words in the contract, and the form of an export id.

Only words live here. Invariant: a word is never renamed, because other people's code uses it.
"""

import re
from enum import StrEnum

EXPORT_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
"""What an ``export_id`` looks like, as a regular expression: safe in file names and URLs."""
EXPORT_ID_IN_WORDS = "a letter or digit, then at most 127 of letters, digits, '.', '_' and '-'"
"""The same for people."""


class Format(StrEnum):
    """The file formats."""

    CSV = "csv"
    PDF = "pdf"
    XLSX = "xlsx"
    NDJSON = "ndjson"
    JSON = "json"
    XML = "xml"


class Compression(StrEnum):
    """How a file is compressed, as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class ColumnType(StrEnum):
    """The type of a column's cells; see ``schemas.column_types``."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


class FailReason(StrEnum):
    """Why an export failed: the ``reason`` of ``export.failed`` and of ``export_fail_total``."""

    # Add reasons that blame the input to ``producer.retry.attempts`` too: these aren't retried.
    INVALID_REQUEST = "invalid_request"
    INVALID_BATCH = "invalid_batch"
    SEQUENCE_GAP = "sequence_gap"
    ROW_COUNT_MISMATCH = "row_count_mismatch"
    TOO_LARGE = "too_large"
    TOO_MANY_OPEN = "too_many_open"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"


class DeadLetterReason(StrEnum):
    """Why a message became a dead letter: the header ``sluice_reason``."""

    UNREADABLE = "unreadable"
    INVALID_ID = "invalid_id"
    UNKNOWN_TYPE = "unknown_type"
    NULL_VALUE = "null_value"
    ORPHAN_BATCH = "orphan_batch"
    NODE_KILLER = "node_killer"


def is_export_id(candidate: object) -> bool:
    """Whether ``candidate`` is a string of the form of an export id."""
    return isinstance(candidate, str) and re.fullmatch(EXPORT_ID, candidate) is not None
