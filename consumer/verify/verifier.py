"""Verifies finished files of a directory against their manifests.

Reads only, and blocks. Invariant: each export gives one verdict, whatever its file and manifest
hold.
"""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from consumer.verify.content import ContentVerifier, Verdict, removed
from schemas.completions import ExportCompleted, TerminalEvent, decode_event
from schemas.errors import field_errors, summary
from schemas.file_names import EXTENSIONS, id_and_extension
from schemas.vocabulary import is_export_id

_MANIFEST = ".manifest.json"
_PARTS = ".parts"
_MOST_MANIFEST_BYTES = 1024 * 1024
# A node makes the manifest first and gives the file its name within milliseconds.
_YOUNG_SECONDS = 10.0
_PAUSE_SECONDS = 1.0


class Verifier:
    """Verifies the exports of directories; ``contents`` looks into their files."""

    def __init__(self, contents: ContentVerifier) -> None:
        self._contents = contents

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
                verdict = self.export(directory, name)
                # Meanwhile its manifest may have been removed, as it was old enough.
                if verdict.good or not is_manifest or (directory / name).exists():
                    yield verdict

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
        try:
            return self._present(file, event)
        except FileNotFoundError:  # it expires just now
            if verdict := removed(file.name, event):
                return verdict
            raise

    def _present(self, file: Path, event: ExportCompleted) -> Verdict:
        if not _appears(file, file.with_name(f"{event.export_id}{_MANIFEST}")):
            missing = Verdict(file.name, False, "isn't there, but its manifest is")
            return removed(file.name, event) or missing
        if not stat.S_ISREG(file.stat().st_mode):
            return Verdict(file.name, False, "is no regular file")
        with file.open("rb") as content:
            return self._contents.verify(file.name, content, event)


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
    # Before it is opened: opening a FIFO blocks.
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
