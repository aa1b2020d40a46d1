"""Verifies finished files of a bucket against their manifests.

Reads only, and blocks. Invariant: memory grows neither with a file nor with their number.
"""

from collections.abc import Iterator
from itertools import chain

from pydantic import ValidationError

from consumer.errors import StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.reading import ObjectFile, ObjectStream
from consumer.verify.content import ContentVerifier, Verdict, removed
from schemas.completions import ExportCompleted, TerminalEvent, decode_event
from schemas.errors import field_errors, summary


class BucketVerifier:
    """Verifies the exports of one storage; ``contents`` looks into their files."""

    def __init__(self, bucket: Bucket, contents: ContentVerifier) -> None:
        self._bucket = bucket
        self._contents = contents

    def all(self) -> Iterator[Verdict]:
        """All exports that have ended. What is no manifest is passed over.

        Raises StorageUnavailable: they can't be listed, or it is no storage. A prefix that nothing
        is under is not there, as a directory may not be: it is another one's name, mistyped.
        """
        manifests = self._bucket.list(layout.MANIFESTS)
        first = next(manifests, None)
        if first is None and self._bucket.head(layout.IDENTITY) is None:
            raise StorageUnavailable(f"{self._bucket.url} is no storage of a group")
        for manifest in chain(filter(None, [first]), manifests):
            # Consoles make an object ``manifests/`` for the folder, and people leave notes.
            if layout.export_of_manifest(manifest.name) is None:
                continue
            verdict = self._one_of_many(manifest.name)
            # Its manifest may have been removed meanwhile because of its age.
            if verdict.good or self._bucket.head(manifest.name):
                yield verdict

    def one(self, name: str) -> Verdict:
        """One export, by the name of its file or its manifest.

        Raises StorageUnavailable: the bucket doesn't let it be read.
        """
        try:
            return self._verdict(name)
        except ValidationError as error:
            return Verdict(
                name, False, f"has a manifest that is none: {summary(field_errors(error))}"
            )
        except ValueError as error:
            return Verdict(name, False, f"has a manifest that is none: {error}")

    def _one_of_many(self, name: str) -> Verdict:
        try:
            return self.one(name)
        except StorageUnavailable as error:
            return Verdict(name, False, str(error).removeprefix(f"{self._bucket.url}/{name} "))

    def unnamed(self) -> int:
        """The number of files that no manifest names: being uploaded, or left by a dead node.

        Raises StorageUnavailable.
        """
        files = (one.name for one in self._bucket.list(layout.FILES) if one.name != layout.FILES)
        return sum(not self._is_named(file) for file in files)

    def _verdict(self, name: str) -> Verdict:
        of_manifest = layout.export_of_manifest(name)
        export_id = of_manifest or layout.export_of(name)
        event = self._manifest(export_id)
        if event is None:
            there = self._bucket.head(name) is not None
            return Verdict(name, False, "has no manifest" if there else "isn't there")
        if event.export_id != export_id:
            return Verdict(name, False, f"has the manifest of {event.export_id}")
        if isinstance(event, ExportCompleted):
            return self._file(None if of_manifest else name, event)
        state = event.type.removeprefix("export.")
        if of_manifest:
            return Verdict(export_id, True, f"{state}, no file")
        return Verdict(name, False, f"is no file of an export: it ended as {state}")

    def _file(self, name: str | None, event: ExportCompleted) -> Verdict:
        """The file of a manifest, which has this name if one is given."""
        named = layout.name_of(event.location)
        if named is None:
            words = f"has a manifest that names {event.location}, which is in no bucket"
            return Verdict(event.export_id, False, words)
        if name not in {None, named}:
            return Verdict(name or "", False, f"is not the file of its manifest: {named} is")
        found = self._bucket.head(named)
        if found is None:
            return removed(named, event) or Verdict(
                named, False, "isn't there, but its manifest is"
            )
        try:
            return self._contents.verify(
                named, ObjectStream(ObjectFile(self._bucket, found)), event
            )
        except StorageUnavailable:
            # It may expire while it is read.
            if self._bucket.head(named) is None and (verdict := removed(named, event)):
                return verdict
            raise

    def _is_named(self, file: str) -> bool:
        try:
            event = self._manifest(layout.export_of(file))
        except ValueError:
            return False
        return isinstance(event, ExportCompleted) and layout.name_of(event.location) == file

    def _manifest(self, export_id: str) -> TerminalEvent | None:
        content = self._bucket.read(layout.manifest(export_id))
        return None if content is None else decode_event(content)
