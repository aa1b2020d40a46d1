"""The columns and format options given to ``sluice submit``.

Invariant: an argument invalid by itself is found before a file is opened, and the error names its
option.
"""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from schemas.options import OPTIONS
from schemas.vocabulary import Format
from sluice.errors import UsageError, UserError
from sluice.submit_files import TAB_NAMES


@dataclass(frozen=True, slots=True)
class GivenColumns:
    """``chosen`` are the keys in order, or None for all columns of the file.

    ``types`` and ``headers`` by key.
    """

    chosen: list[str] | None
    types: dict[str, str]
    headers: dict[str, str]

    def described(self, keys: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
        """Columns of the request from those of a file, whose names there are ``texts``.

        Raises:
            UserError: a header names no column.
        """
        for key in self.headers:
            if key not in keys:
                raise UserError(f"--header {key}: is not a column{meant(key, keys)}")
        columns = []
        for key, text in zip(keys, texts, strict=True):
            column = {"key": key}
            if (header := self.headers.get(key, text)) != key:
                column["header"] = header
            if key in self.types:
                column["type"] = self.types[key]
            columns.append(column)
        return columns


def given_columns(
    columns: str | None, column: Sequence[str], header: Sequence[str]
) -> GivenColumns:
    """Parse ``--columns``, ``--column`` and ``--header``.

    Raises:
        UsageError: one is invalid, or they contradict each other.
    """
    described = _describe(column)
    headers = {key: facts["header"] for key, facts in described.items() if "header" in facts}
    for key, text in _pairs("--header", "KEY=TEXT", header, headers):
        headers[key] = text  # noqa: PERF403 - each is checked against those before
    chosen = [*described] or None if columns is None else _parse_columns(columns)
    for option, keys in (("--column", described), ("--header", headers)):
        if chosen is not None and (unknown := [key for key in keys if key not in chosen]):
            hint = meant(unknown[0], chosen)
            raise UsageError(f"{option} {unknown[0]}: is not one of the columns given{hint}")
    types = {key: facts["type"] for key, facts in described.items() if "type" in facts}
    return GivenColumns(chosen, types, headers)


def parse_options(file_format: Format, pairs: Sequence[str]) -> dict[str, Any]:
    """Parse the request's options by their types in the format's model.

    Raises:
        UsageError: the format has no such option, or it is given twice.
    """
    options: dict[str, Any] = {}
    fields = OPTIONS[file_format].model_fields
    for name, given in _pairs("--option", "name=value", pairs, options):
        if name not in fields:
            known = f"{file_format}, which has {', '.join(fields)}{meant(name, [*fields])}"
            raise UsageError(f"--option {name}: is not an option of {known}")
        text = TAB_NAMES.get(given, given) if name == "delimiter" else given
        options[name] = _typed(text, fields[name].annotation)
    return options


def meant(given: str, known: Sequence[str]) -> str:
    """A hint naming the closest known name; empty if none is close."""
    near = get_close_matches(given, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _pairs(
    option: str, form: str, pairs: Sequence[str], taken: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Name and text of each; adds to ``taken``.

    Raises:
        UsageError: one is of another form, or its name is taken.
    """
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{option} {pair}: must be of the form {form}")
        if name in taken:
            raise UsageError(f"{option} {name}: is given twice")
        yield name, text


def _parse_columns(columns: str) -> list[str]:
    """Parse comma-separated keys, quoted as in CSV."""
    return _divided("--columns", columns, ",")


def _describe(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Header and type by key: of ``key``, ``key:header``, ``key::type``, quoted as in CSV."""
    described: dict[str, dict[str, str]] = {}
    for column in columns:
        parts = _divided("--column", column, ":")
        if not 1 <= len(parts) <= 3:
            raise UsageError(f"--column {column}: must be KEY:HEADER:TYPE, quoted as in CSV")
        key, *facts = parts
        if key in described:
            raise UsageError(f"--column {key}: is given twice")
        named = zip(("header", "type"), facts, strict=False)
        described[key] = {name: fact for name, fact in named if fact}
    return described


def _divided(option: str, given: str, delimiter: str) -> list[str]:
    """The parts of an argument; none if it is empty."""
    try:
        reader = csv.reader(
            [given], delimiter=delimiter, skipinitialspace=delimiter == ",", strict=True
        )
        return next(reader)
    except csv.Error:
        raise UsageError(
            f"{option} {given}: a part with a quote or a line break must be quoted as in CSV"
        ) from None


def _typed(text: str, kind: object) -> bool | int | str:
    """The value as ``kind``; what is none stays text, and the request's model says so."""
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return text
