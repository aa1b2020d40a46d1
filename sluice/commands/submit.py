"""``sluice submit``: publish a real file, or stdin, as an export, in constant memory.

Usage errors are found before the file is opened, and errors at the file's beginning before anything
is published. An error further on cancels the export.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from producer.completions import CompletionFeed
from producer.publisher import Export, ExportPublisher
from producer.seed.scenarios import new_export_id
from producer.sources.reading import Reader, RowStream
from schemas.errors import FieldError, field_errors
from schemas.limits import MOST_RETENTION_SECONDS
from schemas.options import OPTIONS
from schemas.requests import ExportRequested
from schemas.vocabulary import Format
from sluice.errors import UsageError, UserError
from sluice.foreground import run
from sluice.given_file import check_location, given_file
from sluice.no_node import no_node_noticed
from sluice.reports import (
    cancelled_if_interrupted,
    printable,
    publishing_progress,
    report_endings,
)
from sluice.settings import Settings, load_settings
from sluice.submit_columns import GivenColumns, given_columns, parse_options
from sluice.submit_files import InputFormat, input_format_of, reader_of

_OPTION_HELP = "An option of the format. " + ". ".join(
    f"{name}: {', '.join(model.model_fields)}" for name, model in OPTIONS.items()
)


@dataclass(frozen=True, slots=True)
class FileExport:
    """What to publish: the request's ``fields`` except its columns, and the source of the rows."""

    file: str
    read: Reader
    columns: GivenColumns
    fields: dict[str, Any]

    def request(self, keys: Sequence[str], headers: Sequence[str]) -> ExportRequested:
        """The request for the file's columns, whose names in the file are ``headers``.

        Raises:
            ValidationError: a field is invalid.
            UserError: as ``GivenColumns.described``.
        """
        columns = self.columns.described(keys, headers)
        return ExportRequested.model_validate({**self.fields, "columns": columns})


def run_submit(  # noqa: PLR0913 - each argument is an option
    file: Annotated[
        str,
        typer.Argument(
            help="The file with the rows, or an object's s3:// URL; - is standard input."
        ),
    ],
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
    sheet: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of an XLSX file. Default: the first.")
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
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=TEXT", help="What the file that is made calls a column; may be repeated."
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
    # First: how the file is read is found by its extension, which a wrong URL has none of.
    check_location(file)
    texts = {"export_id": export_id, "title": title, "user": user}
    for name, text in texts.items():
        _require_text(name, text)
    given = {**texts, "priority": priority, "expires_in_seconds": expires_in}
    if timeout is not None and not wait:
        raise UsageError("--timeout is for --wait")
    fields = {
        "export_id": new_export_id("submit"),
        "format": file_format,
        "options": parse_options(file_format, option or []),
        **{name: value for name, value in given.items() if value is not None},
    }
    chosen = given_columns(columns, column or [], header or [])
    reader = reader_of(
        input_format or input_format_of(file),
        chosen.types,
        delimiter=input_delimiter,
        encoding=encoding,
        sheet=sheet,
    )
    file_export = FileExport(file, reader, chosen, fields)
    _check(file_export)
    waits = _Waiting(wait, timeout, used_before=export_id is not None)
    return run(_submit(load_settings(), file_export, waits))


def _require_text(name: str, text: str | None) -> None:
    """An argument that isn't UTF-8 contains lone surrogates, which no message can hold."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise UsageError(f"--{name.replace('_', '-')}: is not UTF-8") from None


def _check(file_export: FileExport) -> None:
    """Check the arguments, independently of the file's columns."""
    given = file_export.columns
    keys = [*(given.headers or ["any"])] if given.chosen is None else given.chosen
    try:
        file_export.request(keys, keys)
    except ValidationError as error:
        raise UsageError("; ".join(_of_option(one, keys) for one in field_errors(error))) from None


def _of_option(error: FieldError, keys: Sequence[str]) -> str:
    """The finding, named after the option that set the field: ``--option null``.

    ``keys`` are those of the columns, which fields have by their places.
    """
    field, _, inner = error.field.partition(".")
    place, _, fact = inner.partition(".")
    if field == "columns" and fact:
        # A header is of --column or of --header.
        option = "--column" if fact == "type" else "column"
        return f"{option} {keys[int(place)][:80]}: the {fact} {error.message}"
    names = {"options": f"--option {inner}", "columns": f"--columns {inner}"}
    return f"{names.get(field, '--' + field.replace('_', '-')).strip()}: {error.message}"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Whether and how long to wait for the end; ``used_before``: the id may not be new."""

    wanted: bool
    seconds: float | None
    used_before: bool


async def _submit(settings: Settings, file_export: FileExport, waiting: _Waiting) -> int:
    options = settings.client_options()
    async with AsyncExitStack() as stack:
        # The file first: its errors show without Kafka.
        given = given_file(file_export.file, settings)
        rows = RowStream(given.name, given.open, file_export.read, file_export.columns.chosen)
        await stack.enter_async_context(rows)
        try:
            request = file_export.request(rows.columns, rows.headers)
        except ValidationError as error:
            wrong = "; ".join(map(str, field_errors(error)))
            raise UserError(f"{file_export.file}: {wrong}") from None
        if rows.note:
            typer.echo(f"sluice: {file_export.file}: {printable(rows.note)}", err=True)
        # An id that was used before may have ended already.
        feed = CompletionFeed(settings.topics, from_beginning=waiting.used_before, **options)
        if waiting.wanted:
            # Start before the request is sent, so that no end is missed.
            await stack.enter_async_context(feed)
        async with ExportPublisher(settings.topics, **options) as publisher:
            export = await _publish(publisher, request, rows, given.size())
        typer.echo(export.export_id)
        if not waiting.wanted:
            return 0
        try:
            sources = {export.export_id: export.source}
            async with no_node_noticed(settings):
                return await report_endings(feed, sources, waiting.seconds)
        except TimeoutError:
            raise UserError(
                f"{export.export_id} has not ended within {waiting.seconds:g} s and goes on; where"
                " no node runs, `sluice serve` starts one"
            ) from None


async def _publish(
    publisher: ExportPublisher, request: ExportRequested, rows: RowStream, size: int | None
) -> Export:
    with publishing_progress() as advance, cancelled_if_interrupted([request.export_id]):
        async with publisher.export(request) as export:
            async for chunk in rows.chunks():
                await export.send(chunk)
                advance(export.export_id, export.rows, rows.bytes_read / size if size else None)
    return export
