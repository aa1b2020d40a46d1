"""File name extensions such as ``csv`` or ``csv.gz``: the format and the compression.

Invariant: a name determines both, and its export, because no extension ends in another.
"""

from typing import Final

from schemas.options import OPTIONS, TextOptions
from schemas.vocabulary import Compression, Format

_SUFFIXES = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "xml": "application/xml",
    "gz": "application/gzip",  # RFC 6713
    "zst": "application/zstd",  # RFC 8878
}


def extension(file_format: Format, compression: Compression) -> str:
    """The extension of such a file, without a leading dot."""
    return f"{file_format}{_SUFFIXES[compression]}"


def media_type(file_extension: str) -> str:
    """The ``Content-Type`` of a file with this extension.

    A compressed file is a type of its own, not a content coding, so clients save it as it is.
    """
    return _MEDIA_TYPES[file_extension.rpartition(".")[2]]


def compression_in(name: str, file_format: Format) -> Compression:
    """How the file with this name or URL is compressed."""
    for compression in Compression:
        if name.endswith(f".{extension(file_format, compression)}"):
            return compression
    return Compression.NONE


EXTENSIONS: Final = frozenset(
    extension(file_format, compression)
    for file_format, options in OPTIONS.items()
    for compression in (Compression if issubclass(options, TextOptions) else [Compression.NONE])
)
"""All extensions that export files can have."""


def id_and_extension(name: str) -> tuple[str, str]:
    """The export id and extension in a file name; both empty if it isn't an export's."""
    for known in EXTENSIONS:
        if name.endswith(f".{known}"):
            return name.removesuffix(f".{known}"), known
    return "", ""
