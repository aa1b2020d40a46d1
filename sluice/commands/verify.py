"""``sluice verify``: finished files against their manifests.

What is compared is in ``consumer.verify.verifier``. Invariant: Kafka is needed only where a
manifest leaves it open whether its CSV begins with a header line; else it may be away.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import TopicPartition

from clients.errors import ClientError
from clients.topic_reader import TopicReader
from consumer.verify.verifier import Verdict, Verifier, partial_files
from schemas.codec import decode_request
from schemas.completions import ExportCompleted
from schemas.errors import SchemaError
from schemas.options import CsvOptions
from schemas.requests import ExportRequested
from sluice.errors import UsageError, UserError
from sluice.locations import local_path
from sluice.logs import quiet_libraries
from sluice.reports import printable
from sluice.settings import Settings, load_settings


def run_verify(
    location: Annotated[
        list[str], typer.Argument(help="Files or directories of them: paths or file:// URLs.")
    ],
) -> int:
    """Check finished files against their manifests, a line each: bytes, rows, sha256.

    Exit 1 if one differs, is missing, or has no manifest.
    """
    paths = [_path(given) for given in location]
    settings = load_settings()
    quiet_libraries()
    checked = wrong = partial = 0
    with asyncio.Runner() as runner:
        requests = _Requests(settings, runner)
        try:
            for verdict in _verdicts(paths, Verifier(requests.has_header)):
                checked, wrong = checked + 1, wrong + (not verdict.good)
                state = "ok" if verdict.good else "WRONG"
                typer.echo(printable(f"{state:<6}{verdict.name} {verdict.words}"))
            partial = sum(map(_partial_files, paths))
        finally:
            requests.close()
    if partial:
        typer.echo(f"{partial} partial files: exports in progress, or of a node that died")
    if wrong:
        raise UserError(f"{wrong} of {checked} are not as their manifests say")
    typer.echo(f"{checked} checked, all as their manifests say")
    return 0


def _path(location: str) -> Path:
    try:
        return local_path(location)
    except ValueError as error:
        raise UsageError(f"{printable(location)}: {error}") from None


def _verdicts(paths: list[Path], verifier: Verifier) -> Iterator[Verdict]:
    for path in paths:
        try:
            if path.is_dir():
                yield from verifier.directory(path)
            else:
                yield verifier.export(path.parent, path.name)
        except OSError as error:
            yield Verdict(str(path), False, f"can't be read: {error.strerror}")


def _partial_files(path: Path) -> int:
    try:
        return partial_files(path)
    except OSError:  # it was reported already, or is a matter of nodes
        return 0


class _Requests:
    """What was requested, as far as Kafka still has it. Connects when it is first needed."""

    def __init__(self, settings: Settings, runner: asyncio.Runner) -> None:
        self._settings = settings
        self._runner = runner
        self._running = AsyncExitStack()
        self._topic: TopicReader | None = None
        self._reachable = True

    def has_header(self, event: ExportCompleted) -> bool | None:
        """Whether a CSV was requested with a header line; None where its request can't be read."""
        if not self._reachable or event.source.topic != self._settings.topics.requests:
            return None
        try:
            return self._runner.run(self._read(event))
        except ClientError:
            self._reachable = False
            return None

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self._running.aclose())

    async def _read(self, event: ExportCompleted) -> bool | None:
        if self._topic is None:
            options = self._settings.client_options()
            self._topic = await self._running.enter_async_context(
                TopicReader(event.source.topic, **options)
            )
        source = event.source
        partition = TopicPartition(source.topic, source.partition)
        async for record in self._topic.records(partition, source.offset, source.offset + 1):
            return _header_of(record.value, event.export_id)
        return None


def _header_of(value: bytes | None, export_id: str) -> bool | None:
    try:
        request = decode_request(value)
    except SchemaError:
        return None
    if not isinstance(request, ExportRequested) or request.export_id != export_id:
        return None
    return request.options.header if isinstance(request.options, CsvOptions) else None
