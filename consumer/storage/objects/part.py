"""An export's bytes on the scratch disk, uploaded as a whole at the end.

Invariant: the object of an attempt is removed only once a manifest is known that doesn't name it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.attempts import UploadAttempt
from consumer.storage.objects.bucket import Bucket
from consumer.storage.part_file import PartFile, storage_errors
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.file_names import media_type

_PIECE_BYTES = 1024 * 1024


class ObjectPart(PartFile):
    """A ``Part`` that is uploaded under a unique key, or as the file of ``decided``.

    ``begin`` creates the attempt, at the export's end. ``note`` is called before a file that may
    have expired is uploaded again.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what one part needs from its storage
        self,
        path: Path,
        make_place: Callable[[Path], None],
        on_bytes: Callable[[int], None],
        bucket: Bucket,
        extension: str,
        begin: Callable[[], UploadAttempt],
        note: Callable[[ExportCompleted], None],
        decided: ExportCompleted | None,
    ) -> None:
        super().__init__(path, make_place, on_bytes)
        self._bucket = bucket
        self._media_type = media_type(extension)
        self._begin = begin
        self._note = note
        self._location = decided.location if decided else None
        self._attempt: UploadAttempt | None = None
        self._uploads = self._answered = 0
        self._published = self._stopped = False

    @property
    def location(self) -> str:
        """See ``Part.location``."""
        if self._location is None:
            self._attempt = self._begin()
            self._location = layout.location(self._bucket.url, self._attempt.name)
        return self._location

    def sync(self) -> None:
        """See ``Part.sync``: flush, and upload."""
        self.flush()
        if not self._answered:
            # Count before and after: an upload without a response may have created the object.
            self._uploads += 1
            self._upload(self.location)
            self._answered += 1

    def _upload(self, location: str) -> None:
        name = _name_of(location)
        attributes = {
            "Content-Type": self._media_type,
            "Content-Disposition": f'attachment; filename="{name.rpartition("/")[2]}"',
        }
        # 1. Announce the key's series.
        self._announce()
        # 2. Upload the part, whole.
        self._bucket.upload(name, self._pieces(), attributes)

    def _pieces(self) -> Iterator[bytes]:
        """Yield all bytes or raise; keeps the attempt announced meanwhile."""
        left = self.size
        # A part without bytes has no file.
        if not left:
            return
        what = f"{self.path} can't be read"
        with storage_errors(what, gone=PartLost), self.path.open("rb") as file:
            while left:
                piece = file.read(min(_PIECE_BYTES, left))
                # An upload may take minutes: losing the partition ends it between two pieces.
                if self._stopped:
                    raise PartLost("the partition is no longer ours")
                if not piece:
                    raise PartLost(f"{self.path} has lost {left} bytes")
                left -= len(piece)
                self._announce()
                yield piece

    def _announce(self) -> None:
        if self._attempt:
            self._attempt.announce()

    def publish(self, decided: ExportCompleted) -> None:
        """See ``Part.publish``."""
        if self._published:
            return
        # 5. Have the file that the manifest names.
        if decided.location != self.location:
            # An earlier or concurrent attempt won. Its file may be gone, if it decided after a
            # sweep.
            found = self._bucket.head(_name_of(decided.location))
            if found is None or found.size != self.size:
                self._upload(decided.location)
                self._note(decided)
            self._remove()
        elif self._attempt:
            # 6. Settle the key: a manifest names it.
            self._attempt.settle()
        self._published = True
        super().discard()

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """See ``Part.discard``."""
        if self._published:
            return
        super().discard()
        if decided or not self._uploads:
            self._remove()
        elif self._attempt:
            # An unknown manifest may name it. If removed now, it would be missing after another
            # owner has seen it and published its event.
            self._attempt.settle(sure=False)

    def stop(self) -> None:
        """See ``Part.stop``."""
        self._stopped = True

    def _remove(self) -> None:
        """Remove this attempt's object, if it may exist."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        # An upload without a response may create the object after it was removed here.
        sure = self._uploads == self._answered
        if self._uploads:
            try:
                self._bucket.delete([attempt.name])
            except StorageUnavailable:  # a sweep does, some time
                sure = False
        attempt.settle(sure=sure)


def _name_of(location: str) -> str:
    name = layout.name_of(location)
    if name is None:
        raise LaneStopped(f"a manifest names {location}, which is no file of an object store")
    return name
