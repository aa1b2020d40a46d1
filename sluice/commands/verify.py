"""``sluice verify``: finished files against their manifests.

``consumer.verify.verifier`` does the comparison. Invariant: Kafka is needed only if a manifest
leaves open whether its CSV has a header line.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from aiokafka import TopicPartition

from clients.errors import ClientError
from clients.topic_reader import TopicReader
from consumer.errors import StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.urls import is_object_url, split_url, without_login
from consumer.verify.content import ContentVerifier, Verdict
from consumer.verify.verifier import Verifier, partial_files
from schemas.codec import decode_request
from schemas.completions import ExportCompleted
from schemas.errors import SchemaError
from schemas.options import CsvOptions
from schemas.requests import ExportRequested
from sluice.errors import UsageError, UserError
from sluice.locations import local_path
from sluice.logs import quiet_libraries
from sluice.reports import printable, publishing_progress
from sluice.settings import Settings, load_settings

if TYPE_CHECKING:
    from consumer.verify.bucket_verifier import BucketVerifier


def run_verify(
    location: Annotated[
        list[str],
        typer.Argument(help="Files, or directories or buckets of them: paths or URLs."),
    ],
) -> int:
    """Check finished files against their manifests, a line each: bytes, rows, sha256.

    Exit 1 if one differs, is missing, or has no manifest, or a bucket can't be looked into.
    """
    settings = load_settings()
    quiet_libraries()
    checked = wrong = partial = read = 0
    unseen: list[str] = []
    # One event loop for all Kafka lookups; reading files blocks and needs none.
    with asyncio.Runner() as runner, publishing_progress(unit="bytes") as advance:
        requests = _Requests(settings, runner)

        def on_read(count: int) -> None:
            nonlocal read
            read += count
            advance(f"{checked} checked", read, None)

        contents = ContentVerifier(requests.has_header, on_read)
        places = [_place(given, settings, contents) for given in location]
        try:
            for verdict in chain.from_iterable(_verdicts(place, unseen) for place in places):
                checked, wrong = checked + 1, wrong + (not verdict.good)
                state = "ok" if verdict.good else "WRONG"
                typer.echo(printable(f"{state:<6}{verdict.name} {verdict.words}"))
            partial = sum(place.partial_files() for place in places)
        finally:
            requests.close()
    if partial:
        typer.echo(f"{partial} partial files: exports in progress, or of a node that died")
    if wrong:
        unseen.append(f"{wrong} of {checked} are not as their manifests say")
    if unseen:
        raise UserError("; ".join(unseen))
    typer.echo(f"{checked} checked, all as their manifests say")
    return 0


def _verdicts(place: "_Place", unseen: list[str]) -> Iterator[Verdict]:
    """Those of a place; why it can't be looked into, which is no fault of a file, is added."""
    try:
        yield from place.verdicts()
    except StorageUnavailable as error:
        unseen.append(printable(str(error)))


class _Place(Protocol):
    """A place that holds finished files."""

    def verdicts(self) -> Iterator[Verdict]:
        """One verdict per export, including unreadable ones.

        Raises StorageUnavailable: the place itself can't be looked into.
        """

    def partial_files(self) -> int:
        """The number of unpublished files."""


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """``_Place``: a directory of them, or one file or manifest; named as it was ``given``."""

    given: str
    path: Path
    verifier: Verifier

    def verdicts(self) -> Iterator[Verdict]:
        """See ``_Place.verdicts``."""
        try:
            if self.path.is_dir():
                for verdict in self.verifier.directory(self.path):
                    yield replace(verdict, name=f"{self.given.rstrip('/')}/{verdict.name}")
            else:
                yield replace(
                    self.verifier.export(self.path.parent, self.path.name), name=self.given
                )
        except OSError as error:
            yield Verdict(self.given, False, f"can't be read: {error.strerror}")

    def partial_files(self) -> int:
        """See ``_Place.partial_files``."""
        try:
            return partial_files(self.path)
        except OSError:  # reported already, or the nodes' business
            return 0


@dataclass(frozen=True, slots=True)
class _InBucket:
    """``_Place``: a storage of them, or one file or manifest; named as it was ``given``."""

    given: str
    name: str | None
    verifier: "BucketVerifier"

    def verdicts(self) -> Iterator[Verdict]:
        """See ``_Place.verdicts``."""
        if self.name:
            yield replace(self.verifier.one(self.name), name=self.given)
        else:
            for verdict in self.verifier.all():
                yield replace(verdict, name=f"{self.given.rstrip('/')}/{verdict.name}")

    def partial_files(self) -> int:
        """See ``_Place.partial_files``."""
        try:
            return 0 if self.name else self.verifier.unnamed()
        except StorageUnavailable:  # reported already
            return 0


def _place(location: str, settings: Settings, contents: ContentVerifier) -> _Place:
    try:
        if not is_object_url(location):
            return _OnDisk(location, local_path(location), Verifier(contents))
        # The client of buckets takes a while to import.
        from consumer.storage.objects.client import open_bucket  # noqa: PLC0415
        from consumer.verify.bucket_verifier import BucketVerifier  # noqa: PLC0415

        scheme, bucket, path = split_url(location)
        prefix, name = layout.split(path)
        opened = open_bucket(f"{scheme}://{bucket}/{prefix}", settings.bucket_options)
        return _InBucket(location, name, BucketVerifier(opened, contents))
    except ValueError as error:
        raise UsageError(f"{printable(without_login(location))}: {error}") from None


class _Requests:
    """Looks up requests that Kafka still has. Connects on first use."""

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
            # One failure is enough: otherwise every further CSV would wait for Kafka.
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
