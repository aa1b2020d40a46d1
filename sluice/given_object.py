"""An object that a command reads, as ``sluice.given_file`` opens it.

Invariant: everything read is from one version of the object; if it is replaced meanwhile, that is
an error.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from consumer.errors import StorageUnavailable
from consumer.storage.objects.client import open_bucket
from consumer.storage.objects.reading import ObjectFile, ObjectStream
from consumer.storage.objects.urls import split_object_url
from producer.sources.table import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class GivenObject:
    """The object at a URL. ``size`` is in bytes, None until it is open.

    Raises ValueError: the URL or an option of the store can't be used.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        scheme, bucket, self._key = split_object_url(url)
        self._bucket = open_bucket(f"{scheme}://{bucket}", options)
        self._url = f"{self._bucket.url}/{self._key}"
        self.size: int | None = None

    def open(self) -> io.RawIOBase:
        """Find the object, without fetching its content. Raises SourceError."""
        try:
            found = self._bucket.head(self._key)
        except StorageUnavailable as error:
            raise _source_error(self._url, error) from None
        if found is None:
            raise SourceError("there is no such object, or no such bucket")
        self.size = found.size
        return _SourceStream(self._url, ObjectFile(self._bucket, found, found.etag))


class _SourceStream(ObjectStream):
    """An object's content, with errors as ``SourceError``."""

    def __init__(self, url: str, file: ObjectFile) -> None:
        super().__init__(file)
        self._url = url

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """See ``ObjectStream.readinto``."""
        try:
            return super().readinto(buffer)
        except StorageUnavailable as error:
            raise _source_error(self._url, error) from None


def _source_error(url: str, error: StorageUnavailable) -> SourceError:
    """The error without the URL, with which a source's message begins anyway."""
    return SourceError(str(error).removeprefix(f"{url} "))
