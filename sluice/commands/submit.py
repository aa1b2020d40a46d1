"""``sluice submit``: publish a real file, or stdin, as an export, in constant memory.

What is called wrongly is found before the file is opened, what is wrong at the file's beginning
before anything is published. What is wrong further on cancels the export.
"""

import csv
import io
import os
import re
import stat
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from producer.completions import CompletionFeed
from producer.publisher import Export, ExportPublisher
from producer.seed.scenarios import new_export_id
from producer.sources.csv_source import read_csv
from producer.sources.json_source import read_json, read_ndjson
from producer.sources.reading import Reader, RowStream
from schemas.errors import FieldError, field_errors
from schemas.limits import MOST_RETENTION_SECONDS
from schemas.options import OPTIONS
from schemas.requests import ExportRequested
from schemas.vocabulary import Format
from sluice.errors import UsageError, UserError
from sluice.foreground import run
from sluice.reports import (
    cancelled_if_interrupted,
    printable,
    publishing_progress,
    report_endings,
)
from sluice.settings import Settings, load_settings


class InputFormat(StrEnum):
    """What the file holds: CSV, one JSON row a line, or one JSON array of rows."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"


_READERS: dict[InputFormat, Reader] = {
    InputFormat.CSV: read_csv,
    InputFormat.NDJSON: read_ndjson,
    InputFormat.JSON: read_json,
}
_SUFFIXES = {
    ".csv": InputFormat.CSV,
    ".ndjson": InputFormat.NDJSON,
    ".jsonl": InputFormat.NDJSON,
    ".json": InputFormat.JSON,
}
_TAB_NAMES = {"\\t": "\t", "tab": "\t"}
_OPTION_HELP = "An option of the format. " + ". ".join(
    f"{name}: {', '.join(model.model_fields)}" for name, model in OPTIONS.items()
)


@dataclass(frozen=True, slots=True)
class FileExport:
    """What to publish: ``fields`` of the request but its columns, and where the rows are.

    ``columns`` chooses some of the file's; ``described`` says more of those that have a key in it.
    ``is_guessed``: it is CSV, and nobody gave its delimiter.
    """

    file: str
    read: Reader
    columns: list[str] | None
    described: dict[str, dict[str, str]]
    fields: dict[str, Any]
    is_guessed: bool = False

    def request(self, columns: Sequence[str]) -> ExportRequested:
        """The request.

        Raises:
            ValidationError: its fields are wrong.
        """
        described = [{"key": key, **self.described.get(key, {})} for key in columns]
        return ExportRequested.model_validate({**self.fields, "columns": described})


def run_submit(  # noqa: PLR0913 - each argument is an option
    file: Annotated[str, typer.Argument(help="The file with the rows; - is standard input.")],
    *,
    file_format: Annotated[Format, typer.Option("--format", help="The format of the file.")],
    input_format: Annotated[
        InputFormat | None, typer.Option(help="Default: by the file's extension.")
    ] = None,
    input_delimiter: Annotated[
        str | None, typer.Option(metavar="CHAR", help="Of a CSV file. Default: a comma.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of a CSV file, such as cp1252. Default: utf-8.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Column keys, divided by commas. Default: the header, or the first object's keys."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[:HEADER[:TYPE]]",
            help="A column with its header and type; repeated, and without --columns, it is all.",
        ),
    ] = None,
    export_id: Annotated[str | None, typer.Option(help="Default: a new one.")] = None,
    title: Annotated[
        str | None, typer.Option(help="For a PDF's first page, or a sheet's name.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Default: anonymous.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=9, help="9 goes first. Default: 5.")
    ] = None,
    expires_in: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_RETENTION_SECONDS,
            metavar="SECONDS",
            help="How long the file is kept. Default: as nodes are set.",
        ),
    ] = None,
    option: Annotated[list[str] | None, typer.Option(metavar="K=V", help=_OPTION_HELP)] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it; fail unless it completes.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="With --wait. Default: none.")
    ] = None,
) -> int:
    """Publish a file of rows as an export; print its id."""
    texts = {"export_id": export_id, "title": title, "user": user}
    for name, text in texts.items():
        _require_text(name, text)
    given = {**texts, "priority": priority, "expires_in_seconds": expires_in}
    if timeout is not None and not wait:
        raise UsageError("--timeout is for --wait")
    fields = {
        "export_id": new_export_id("submit"),
        "format": file_format,
        "options": _parse_options(file_format, option or []),
        **{name: value for name, value in given.items() if value is not None},
    }
    described = _describe(column or [])
    chosen = [*described] or None if columns is None else _parse_columns(columns)
    if unknown := [key for key in described if key not in (chosen or ())]:
        raise UsageError(f"--column {unknown[0]}: is not one of --columns")
    csv_facts = _csv_facts(input_delimiter, encoding)
    source = input_format or _input_format_of(file)
    reader = _reader(source, described, csv_facts)
    is_guessed = source is InputFormat.CSV and input_delimiter is None
    file_export = FileExport(file, reader, chosen, described, fields, is_guessed)
    _check(file_export)
    waits = _Waiting(wait, timeout, used_before=export_id is not None)
    return run(_submit(load_settings(), file_export, waits))


def _require_text(name: str, text: str | None) -> None:
    """An argument that is no UTF-8 comes as half surrogates, which no message can hold."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise UsageError(f"--{name.replace('_', '-')}: is not UTF-8") from None


def _input_format_of(file: str) -> InputFormat:
    if file == "-":
        raise UsageError("--input-format is needed with standard input")
    suffix = Path(file).suffix
    if suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{file}: give --input-format, as the extension {suffix!r} says nothing")
    return _SUFFIXES[suffix.lower()]


def _parse_columns(columns: str) -> list[str]:
    """Keys by commas; quoted as in CSV where a key holds one."""
    return next(csv.reader([columns], skipinitialspace=True))


def _describe(columns: list[str]) -> dict[str, dict[str, str]]:
    """Header and type by key: of ``key``, ``key:header``, ``key::type``, quoted as in CSV."""
    described: dict[str, dict[str, str]] = {}
    for column in columns:
        key, *facts = next(csv.reader([column], delimiter=":"), [""])
        if len(facts) > 2:
            raise UsageError(f"--column {column}: must be KEY:HEADER:TYPE, quoted as in CSV")
        if key in described:
            raise UsageError(f"--column {key}: is given twice")
        named = zip(("header", "type"), facts, strict=False)
        described[key] = {name: fact for name, fact in named if fact}
    return described


def _csv_facts(delimiter: str | None, encoding: str | None) -> dict[str, Any]:
    """What was given of a CSV file, as ``read_csv`` takes it."""
    facts: dict[str, Any] = {}
    if delimiter is not None:
        facts["delimiter"] = delimiter = _TAB_NAMES.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError("--input-delimiter: must be one character, no quote and no line break")
    if encoding is not None:
        facts["encoding"] = encoding
        try:
            # As the reader opens it; ``codecs.lookup`` knows codecs that make no text as well.
            io.TextIOWrapper(io.BytesIO(), encoding)
        except (LookupError, ValueError):
            raise UsageError(f"--encoding {encoding}: is not known") from None
    return facts


def _reader(
    input_format: InputFormat, described: dict[str, dict[str, str]], csv_facts: dict[str, Any]
) -> Reader:
    """The source; cells of CSV, which are strings, become values of their columns' types."""
    if input_format is not InputFormat.CSV:
        if csv_facts:
            raise UsageError("--input-delimiter and --encoding are for CSV files")
        return _READERS[input_format]
    types = {key: facts["type"] for key, facts in described.items() if "type" in facts}
    return partial(read_csv, types=types, **csv_facts)


def _parse_options(file_format: Format, pairs: list[str]) -> dict[str, Any]:
    """Options of the request, by the type that each has in the format's model."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair}: must be of the form name=value")
        if name in options:
            raise UsageError(f"--option {name}: is given twice")
        fields = OPTIONS[file_format].model_fields
        if name not in fields:
            known = ", ".join(fields)
            raise UsageError(f"--option {name}: is not a field of {file_format}, which has {known}")
        if name == "delimiter":
            text = _TAB_NAMES.get(text, text)
        options[name] = _typed(text, fields[name].annotation)
    return options


def _typed(text: str, kind: object) -> bool | int | str:
    """The value as ``kind``; what is none stays text, and the request's model says so."""
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return text


def _check(file_export: FileExport) -> None:
    """Find what is wrong with the arguments, whatever the file's own columns are."""
    columns = ["any"] if file_export.columns is None else file_export.columns
    try:
        file_export.request(columns)
    except ValidationError as error:
        raise UsageError("; ".join(map(_of_option, field_errors(error)))) from None


def _of_option(error: FieldError) -> str:
    """The finding under the name of the option that gave the field: ``--option null``."""
    field, _, inner = error.field.partition(".")
    names = {"options": f"--option {inner}", "columns": f"--columns {inner}"}
    return f"{names.get(field, '--' + field.replace('_', '-')).strip()}: {error.message}"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Whether the end is waited for, and how long; ``used_before``: the id may be no new one."""

    wanted: bool
    seconds: float | None
    used_before: bool


async def _submit(settings: Settings, file_export: FileExport, waiting: _Waiting) -> int:
    options = settings.client_options()
    async with AsyncExitStack() as stack:
        # The file first: what is wrong with it shows without Kafka.
        rows = await stack.enter_async_context(_open(file_export))
        try:
            request = file_export.request(rows.columns)
        except ValidationError as error:
            wrong = "; ".join(map(str, field_errors(error)))
            raise UserError(f"{file_export.file}: {wrong}") from None
        if file_export.is_guessed:
            _warn_of_one_column(file_export.file, rows.columns)
        # An id that was used before may have ended already.
        feed = CompletionFeed(settings.topics, from_beginning=waiting.used_before, **options)
        if waiting.wanted:
            # Before the request is sent, so that no end is missed.
            await stack.enter_async_context(feed)
        async with ExportPublisher(settings.topics, **options) as publisher:
            export = await _publish(publisher, request, rows, _size(file_export.file))
        typer.echo(export.export_id)
        if not waiting.wanted:
            return 0
        try:
            sources = {export.export_id: export.source}
            return await report_endings(feed, sources, waiting.seconds)
        except TimeoutError:
            raise UserError(
                f"{export.export_id} has not ended within {waiting.seconds:g} s and goes on; where"
                " no node runs, `sluice serve` starts one"
            ) from None


def _warn_of_one_column(file: str, columns: Sequence[str]) -> None:
    """Say so where a whole header came out as one column."""
    names = {";": ";", "\t": "\\t"}
    if len(columns) == 1 and (found := [names[mark] for mark in names if mark in columns[0]]):
        typer.echo(
            f"sluice: {file}: has one column, {printable(columns[0])}:"
            f" --input-delimiter '{found[0]}' may be meant",
            err=True,
        )


async def _publish(
    publisher: ExportPublisher, request: ExportRequested, rows: RowStream, size: int | None
) -> Export:
    with publishing_progress() as advance, cancelled_if_interrupted([request.export_id]):
        async with publisher.export(request) as export:
            async for chunk in rows.chunks():
                await export.send(chunk)
                advance(export.export_id, export.rows, rows.bytes_read / size if size else None)
    return export


def _open(file_export: FileExport) -> RowStream:
    file = file_export.file
    if file == "-":
        return RowStream("standard input", _open_stdin, file_export.read, file_export.columns)
    return RowStream(file, lambda: io.FileIO(file), file_export.read, file_export.columns)


def _open_stdin() -> io.FileIO:
    if sys.stdin is None:
        raise OSError("it is closed")
    return io.FileIO(sys.stdin.fileno(), closefd=False)


def _size(file: str) -> int | None:
    """Bytes of a regular file, for the progress bar."""
    status = os.fstat(sys.stdin.fileno()) if file == "-" else Path(file).stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None
