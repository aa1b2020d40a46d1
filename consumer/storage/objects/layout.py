"""The layout below the prefix. Pure.

    .sluice.json                                     which storage this is
    manifests/{export_id}.json                       how an export ended
    files/{partition}/{series}/{number}-{export_id}/{file name}   data, a key for each attempt
    uploads/{partition}/{series}                     of this series a file may have no manifest
    expiring/{day}/{time}/{partition}-{series}       of this series a file expires then
    in-hand/{partition}/{name}                       what a process that died was working on
    probe/{name}                                     a check that the store can be written

Invariant: ``files/`` and ``manifests/`` are apart, so that a lifecycle rule of the bucket can tell
data from decisions.
"""

import re
from urllib.parse import quote, unquote

IDENTITY = ".sluice.json"
MANIFESTS = "manifests"
FILES = "files"
PROBES = "probe"
EXPIRING = "expiring"
_FILE = re.compile(rf"(?:^|/)({FILES}/\d+/[0-9a-f]+/\d+-[^/]+/[^/]+)$")
_MANIFEST = re.compile(rf"(?:^|/)({MANIFESTS}/([^/]+)\.json)$")


def manifest(export_id: str) -> str:
    """The manifest of an export."""
    return f"{MANIFESTS}/{export_id}.json"


def export_of_manifest(name: str) -> str | None:
    """The export of a manifest's name; None if it is no manifest."""
    match = _MANIFEST.fullmatch(name)
    return match[2] if match else None


def split(path: str) -> tuple[str, str | None]:
    """The prefix in a path, and the name of the file or manifest below it, if it names one."""
    for form in (_FILE, _MANIFEST):
        if match := form.search(path):
            return path[: match.start()].rstrip("/"), match[1]
    return path, None


def series_files(partition: int, series: str) -> str:
    """The folder of a series' files."""
    return f"{FILES}/{partition}/{series}"


def file(partition: int, series: str, number: int, export_id: str, file_name: str) -> str:
    """The file of one attempt."""
    return f"{series_files(partition, series)}/{number}-{export_id}/{file_name}"


def export_of(file: str) -> str:
    """The export that a file is of; empty if it is no file of an attempt."""
    return file.rpartition("/")[0].rpartition("/")[2].partition("-")[2]


def announcements(partition: int) -> str:
    """The folder of a partition's announced series."""
    return f"uploads/{partition}"


def announcement(partition: int, series: str) -> str:
    """The announcement of a series."""
    return f"{announcements(partition)}/{series}"


def series_of(file: str) -> tuple[int, str]:
    """The partition and the series of a file."""
    _, partition, series, *_ = file.split("/")
    return int(partition), series


def expiry_note(slot: str, partition: int, series: str) -> str:
    """The note that files of a series expire in a slot."""
    return f"{EXPIRING}/{slot}/{partition}-{series}"


def noted_series(note: str) -> tuple[int, str] | None:
    """The partition and series of such a note; None if it is none."""
    number, _, series = note.rpartition("/")[2].partition("-")
    return (int(number), series) if number.isdecimal() and series else None


def marks(partition: int) -> str:
    """The folder of a partition's marks."""
    return f"in-hand/{partition}"


def location(url: str, name: str) -> str:
    """The URL of an object, from that of its bucket and prefix."""
    return f"{url}/{quote(name)}"


def name_of(location: str) -> str | None:
    """The name of the file at a location; None if it is no file of such a storage.

    The bucket is ignored, because it may have been copied to one with a new name.
    """
    match = _FILE.search(unquote(location))
    return match[1] if match else None
