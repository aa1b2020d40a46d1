"""Finished files against their manifests: is what was published still what is there?

Reads only, and blocks. Invariant: a file is read in pieces, and each export gives one verdict,
whatever its file and manifest hold.
"""

import hashlib
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pydantic import ValidationError

from consumer.verify.decompression import PIECE_BYTES, content_of
from consumer.verify.row_counter import RowCounter, looks_headed, row_counter
from schemas.completions import ExportCompleted, TerminalEvent, decode_event
from schemas.errors import field_errors, summary
from schemas.file_names import EXTENSIONS, id_and_extension
from schemas.vocabulary import Format, is_export_id

HasHeader: TypeAlias = Callable[[ExportCompleted], bool | None]
"""Whether a CSV was requested with a header line; None where nobody knows."""

_MANIFEST = ".manifest.json"
_PARTS = ".parts"
_MOST_MANIFEST_BYTES = 1024 * 1024
# A node makes the manifest first and gives the file its name within milliseconds.
_YOUNG_SECONDS = 10.0
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an export's file is as its manifest says, and in what it differs or what it is."""

    name: str
    good: bool
    words: str


class Verifier:
    """Verifies exports; ``has_header`` is called only where the manifest leaves it open."""

    def __init__(self, has_header: HasHeader) -> None:
        self._has_header = has_header

    def directory(self, directory: Path) -> Iterator[Verdict]:
        """All exports of a directory, in order of their names. What belongs to none is passed over.

        Raises:
            OSError: it can't be listed.
        """
        names = sorted(path.name for path in directory.iterdir())
        manifests = {name.removesuffix(_MANIFEST) for name in names if name.endswith(_MANIFEST)}
        for name in names:
            export_id, is_manifest = _export_of(name)
            if is_manifest or (_is_file_of(name, export_id) and export_id not in manifests):
                yield self.export(directory, name)

    def export(self, directory: Path, name: str) -> Verdict:
        """One export, by the name of its file or of its manifest."""
        try:
            return self._verdict(directory, name)
        except ValidationError as error:
            wrong = summary(field_errors(error))
            return Verdict(name, False, f"has a manifest that is none: {wrong}")
        except ValueError as error:
            return Verdict(name, False, f"has a manifest that is none: {error}")
        except OSError as error:
            return Verdict(name, False, f"can't be read: {error.strerror}")

    def _verdict(self, directory: Path, name: str) -> Verdict:
        export_id, is_manifest = _export_of(name)
        event = _read_manifest(directory / f"{export_id}{_MANIFEST}")
        if event is None:
            there = (directory / name).exists()
            return Verdict(name, False, "has no manifest" if there else "isn't there")
        if event.export_id != export_id:
            return Verdict(name, False, f"has the manifest of {event.export_id}")
        expected = _files_of(directory, export_id) if is_manifest else {name}
        if not isinstance(event, ExportCompleted):
            return _without_file(directory, event, expected)
        file = directory / f"{export_id}.{event.extension}"
        for stray in expected - {file.name}:
            return Verdict(stray, False, f"is not the file of its manifest: {file.name} is")
        return self._file(file, event)

    def _file(self, file: Path, event: ExportCompleted) -> Verdict:
        if not _appears(file, file.with_name(f"{event.export_id}{_MANIFEST}")):
            return Verdict(file.name, False, "isn't there, but its manifest is")
        if not stat.S_ISREG(file.stat().st_mode):
            return Verdict(file.name, False, "is no regular file")
        with file.open("rb") as content:
            hashed = _Hashed(content)
            counted = _counted(hashed, event)
            rows = self._rows(content, counted, event)
        facts = [
            ("bytes", hashed.size, event.bytes),
            ("rows", rows, event.rows),
            ("pages", counted.pages, event.pages),
            ("sha256", hashed.sha256, event.sha256),
        ]
        differ = [
            f"{name} {found}, manifest {stated}" for name, found, stated in facts if found != stated
        ]
        if differ:
            return Verdict(file.name, False, "differs: " + "; ".join(differ))
        pages = "" if counted.pages is None else f"{counted.pages} pages "
        words = f"{rows} rows {pages}{event.bytes} bytes sha256 {event.sha256}"
        return Verdict(file.name, True, words)

    def _rows(self, content: BinaryIO, counted: RowCounter, event: ExportCompleted) -> int:
        """Rows without a header line; whether there is one, no manifest says.

        As many records as rows: a CSV without a header line, or one row too few. One more: one
        with. Any other number is wrong in both cases.
        """
        if event.format != Format.CSV:
            return counted.rows
        is_open = counted.rows == event.rows
        headed = self._headed(content, event) if is_open else True
        return max(0, counted.rows - headed)

    def _headed(self, content: BinaryIO, event: ExportCompleted) -> bool:
        headed = self._has_header(event)
        if headed is None:
            content.seek(0)
            headed = looks_headed(next(content_of(content, event.compression), b""))
        return headed


def partial_files(directory: Path) -> int:
    """How many partial files a directory holds: being written, or left by a node that died."""
    parts = directory / _PARTS
    if not parts.is_dir():
        return 0
    places = (place for place in parts.iterdir() if place.name.isdecimal())
    return sum(1 for place in places for _ in place.iterdir())


def _export_of(name: str) -> tuple[str, bool]:
    """The id that a name belongs to, and whether it is its manifest's."""
    if name.endswith(_MANIFEST):
        return name.removesuffix(_MANIFEST), True
    export_id, _ = id_and_extension(name)
    return export_id or name.rpartition(".")[0] or name, False


def _is_file_of(name: str, export_id: str) -> bool:
    return is_export_id(export_id) and name.removeprefix(f"{export_id}.") in EXTENSIONS


def _read_manifest(manifest: Path) -> TerminalEvent | None:
    if not manifest.exists():
        return None
    if not stat.S_ISREG(manifest.stat().st_mode):
        raise ValueError("it is no regular file")
    with manifest.open("rb") as content:
        return decode_event(content.read(_MOST_MANIFEST_BYTES))


def _without_file(directory: Path, event: TerminalEvent, names: set[str]) -> Verdict:
    """A failed or cancelled export: there must be no file of it."""
    state = event.type.removeprefix("export.")
    for name in sorted(names):
        there = "is there, but its" if (directory / name).exists() else "isn't there: its"
        return Verdict(name, False, f"{there} export ended as {state}")
    return Verdict(event.export_id, True, f"{state}, no file")


def _files_of(directory: Path, export_id: str) -> set[str]:
    """The files of an export that are there, in whatever format."""
    names = {f"{export_id}.{one}" for one in EXTENSIONS}
    return {name for name in names if (directory / name).exists()}


def _appears(file: Path, manifest: Path) -> bool:
    """Whether the file is there, or comes while its export is just being published."""
    if not file.exists() and time.time() - manifest.stat().st_mtime < _YOUNG_SECONDS:
        time.sleep(_PAUSE_SECONDS)
    return file.exists()


class _Hashed:
    """A file that is hashed as it is read; to be read from its beginning to its end, once."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was read, in hexadecimal."""
        return self._digest.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        """Read as the file does."""
        piece = self._file.read(size)
        self.size += len(piece)
        self._digest.update(piece)
        return piece


def _counted(file: _Hashed, event: ExportCompleted) -> RowCounter:
    """Read a file to its end; what is counted of its content."""
    counted = row_counter(event.format)
    for piece in content_of(file, event.compression):
        counted.feed(piece)
    while file.read(PIECE_BYTES):  # what follows the end of the compressed content
        pass
    return counted
