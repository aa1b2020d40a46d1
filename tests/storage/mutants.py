"""Object storages that are broken on purpose, one thing each: the suite has to notice every one.

Each is a step of an end's way out that is left out, or done in another order. Invariant: a mutant
changes the storage, never what a test sees of the store.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import obstore

from consumer.storage.objects import attempts, layout
from consumer.storage.objects.attempts import Attempts, UploadAttempt, _Series
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.part import ObjectPart, _name_of
from consumer.storage.objects.storage import ObjectStorage
from consumer.storage.part_file import PartFile
from schemas.completions import ExportCompleted, TerminalEvent, encode_event

Patch = tuple[Any, str, object]
"""An object, the name of an attribute of it, and what stands in its place."""

_publish, _create, _settle = ObjectPart.publish, Bucket.create, Attempts.settle

# The decision


def _only_flush(part: ObjectPart) -> None:
    part.flush()


def _upload_late(part: ObjectPart, decided: ExportCompleted) -> None:
    if not part._published and decided.location == part.location:
        part._upload(part.location)
    _publish(part, decided)


def _decide_without_reading_back(self: ObjectStorage, event: TerminalEvent) -> TerminalEvent:
    self._identity.require()
    if self._bucket.create(layout.manifest(event.export_id), encode_event(event)):
        return event
    return self._read_manifest(event.export_id) or event


def _decide_blindly(self: ObjectStorage, event: TerminalEvent) -> TerminalEvent:
    self._identity.require()
    self._bucket.create(layout.manifest(event.export_id), encode_event(event))
    return event


def _replace(self: Bucket, name: str, content: bytes) -> bool:
    if name.startswith(f"{layout.MANIFESTS}/"):
        obstore.put(self._store, self._key(name), content)
        return True
    return _create(self, name, content)


# The file


def _begin_under_one_key(
    self: Attempts, partition: int, export_id: str, file_name: str
) -> UploadAttempt:
    series = self._series(partition)
    series.unsettled += 1
    return UploadAttempt(layout.file(partition, "0" * 16, 1, export_id, file_name), series, self)


def _end_what_breaks_off(
    self: Bucket, name: str, pieces: Iterable[bytes], attributes: dict[str, str]
) -> None:
    error = None
    with obstore.open_writer(self._store, self._key(name), attributes=attributes) as writer:
        try:
            for piece in pieces:
                writer.write(piece)
        except Exception as raised:  # noqa: BLE001 - it is raised again
            error = raised
    if error:
        raise error


def _leave(part: ObjectPart) -> None:
    attempt, part._attempt = part._attempt, None
    if attempt:
        attempt.settle()


def _discard_at_once(part: ObjectPart, _decided: TerminalEvent | None = None) -> None:
    if not part._published:
        PartFile.discard(part)
        part._remove()


def _publish_unseen(part: ObjectPart, decided: ExportCompleted) -> None:
    if decided.location == part.location or part._published:
        _publish(part, decided)
    else:
        part._remove()
        part._published = True
        PartFile.discard(part)


def _remove_the_winner(part: ObjectPart, decided: ExportCompleted) -> None:
    _publish(part, decided)
    if decided.location != part.location:
        part._bucket.delete([_name_of(decided.location)])


# What is left behind


def _announce_nothing(_self: Attempts, _series: _Series) -> None:
    """No object is written."""


def _settle_for_sure(self: Attempts, series: _Series, *, sure: bool) -> None:
    _settle(self, series, sure=True)


_NAMING_NOTHING = SimpleNamespace(**{**vars(layout), "name_of": lambda _: None})
"""The layout, but for what the location in a manifest names."""


MUTANTS: dict[str, list[Patch]] = {
    "a file is uploaded after its manifest": [
        (ObjectPart, "sync", _only_flush),
        (ObjectPart, "publish", _upload_late),
    ],
    "a manifest without an answer is not read back": [
        (ObjectStorage, "decide", _decide_without_reading_back)
    ],
    "the manifest that is there does not bind": [(ObjectStorage, "decide", _decide_blindly)],
    "a manifest is replaced by the next": [(Bucket, "create", _replace)],
    "all attempts have one key": [(Attempts, "begin", _begin_under_one_key)],
    "an upload that breaks off is ended, not aborted": [(Bucket, "upload", _end_what_breaks_off)],
    "an attempt that lost leaves its file": [(ObjectPart, "_remove", _leave)],
    "an attempt that lost removes the file that won": [(ObjectPart, "publish", _remove_the_winner)],
    "a file is removed before its manifest is known": [(ObjectPart, "discard", _discard_at_once)],
    "a file that a manifest names is taken to be there": [(ObjectPart, "publish", _publish_unseen)],
    "uploads are not announced": [(Attempts, "announce", _announce_nothing)],
    "what is in doubt is announced no longer": [(Attempts, "settle", _settle_for_sure)],
    "a sweep removes what a manifest names": [(attempts, "layout", _NAMING_NOTHING)],
    "a sweep removes what has no manifest yet": [(attempts, "_UNDECIDED_SECONDS", -1.0)],
    "a sweep removes nothing": [(Attempts, "_sweep_series", lambda *_: 0)],
}
"""By what is wrong with them."""

ON_A_SERVER: dict[str, list[Patch]] = {
    "a sweep aborts no upload": [(Bucket, "abort_uploads", lambda *_: 0)],
}
"""Those that objects in memory can't show: they keep no uploads that nobody ended."""
