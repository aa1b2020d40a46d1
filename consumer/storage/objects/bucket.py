"""Objects of one bucket below a prefix, by name.

Invariants: a call ends within its deadline, which the client library enforces; and errors show only
a status, a code and the object's name, never text from the store, which may echo parts of a
request.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from consumer.errors import StorageUnavailable
from consumer.storage.objects.multipart import MultipartUploads

if TYPE_CHECKING:
    from obstore import GetOptions

log = structlog.get_logger(__name__)

UPLOAD_BUFFER_BYTES = 8 * 1024 * 1024
"""Larger objects are uploaded in parts of this size, two at a time."""
# With the buffer that fills meanwhile, an upload holds three.
_PARTS_AT_A_TIME = 2
_LISTED_AT_A_TIME = 1000
_UNSIGNED_SECONDS = 60.0
# More than any object of ours that is read as a whole: what is larger was put there by others.
_MOST_READ_BYTES = 1024 * 1024
_PANIC = "PanicException"  # the client library's, at an address that is none
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_STATUS = re.compile(r"non-2xx status code: (\d{3}[A-Za-z -]*)")
# Where the client library looks for an identity, once it has found no other credentials.
_IDENTITY_SERVICE = re.compile(r"169\.254\.1(?:69\.254|70\.2)|/latest/api/token|/computeMetadata/")
_CODE = re.compile(r"<Code>(\w+)</Code>|^\s*\"?(\w+)\"?: ?$")
# Markers in the client library's error texts; the first match counts.
_CAUSES = {
    "InvalidContentType": "it speaks no TLS; is its endpoint http://?",
    "InvalidCertificate": "its certificate is not trusted",
    "Failed to read token file": "the file of its identity's token can't be read",
    "kind: Timeout": "it does not answer in time",
    "dns error": "its host is not known",
    "tcp connect error": "no connection can be made",
    "redirect without LOCATION": "the bucket is in another region",
    "kind: Connect": "no connection can be made",
    "kind: Request": "the connection broke off",
    "kind: Interrupted": "the connection broke off",
    # All that an upload says of these.
    "HTTP error: error sending request": "no connection can be made, or it does not answer in time",
}


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing; ``modified`` in seconds since the epoch.

    ``etag`` changes when another object takes its place; only ``Bucket.head`` fills it in.
    """

    name: str
    size: int
    modified: float
    etag: str | None = None


class Bucket:
    """One bucket and prefix. ``url`` is its name, ``s3://bucket/prefix``. Threads may share it.

    Every call raises ``StorageUnavailable`` if the store refuses, can't be reached, or lacks the
    bucket.
    """

    def __init__(
        self,
        store: ObjectStore,
        url: str,
        prefix: str = "",
        uploads: MultipartUploads | None = None,
    ) -> None:
        self.url = url
        self._uploads = uploads
        self._store = store
        self._signs_from: float | None = None  # set once it could not
        self._prefix = f"{prefix}/" if prefix else ""

    def read(self, name: str) -> bytes | None:
        """A small object's content, or None if it doesn't exist; of a large one the beginning."""
        with self._errors(f"{self.url}/{name} can't be read"):
            try:
                found = obstore.get(self._store, self._key(name))
                if found.meta["size"] <= _MOST_READ_BYTES:
                    return bytes(found.bytes())
            except FileNotFoundError as error:
                self._require_bucket(error)
                return None
        return self.read_range(name, 0, _MOST_READ_BYTES)

    def read_range(self, name: str, start: int, size: int, etag: str | None = None) -> bytes:
        """Up to ``size`` bytes, at least one, from ``start``, where the object must have some.

        If ``etag`` is given, another object in its place is an error.
        """
        options: GetOptions = {"range": (start, start + size)}
        if etag:
            options["if_match"] = etag
        with self._errors(f"{self.url}/{name} can't be read"):
            return bytes(obstore.get(self._store, self._key(name), options=options).bytes())

    def head(self, name: str) -> ListedObject | None:
        """An object without its content; None if it or the bucket doesn't exist."""
        with self._errors(f"{self.url}/{name} can't be read"):
            try:
                found = obstore.head(self._store, self._key(name))
            except FileNotFoundError:
                # The response to a HEAD has no body to tell these apart.
                return None
        modified = found["last_modified"].timestamp()
        return ListedObject(name, found["size"], modified, found["e_tag"])

    def create(self, name: str, content: bytes) -> bool:
        """Create an object unless it exists; False if it does or another caller is creating it.

        After an error it may exist all the same: the response may have been lost.
        """
        with self._errors(f"{self.url}/{name} can't be written"):
            attributes = {"Content-Type": "application/json"}
            try:
                obstore.put(
                    self._store, self._key(name), content, mode="create", attributes=attributes
                )
            except AlreadyExistsError:
                return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a small object."""
        with self._errors(f"{self.url}/{name} can't be written"):
            # In one request, so that nothing needs aborting.
            obstore.put(self._store, self._key(name), content, use_multipart=False)

    def upload(self, name: str, pieces: Iterable[bytes], attributes: dict[str, str]) -> None:
        """Create or replace an object of any size, atomically.

        It holds up to three times ``UPLOAD_BUFFER_BYTES`` in memory. Exceptions of ``pieces``
        propagate, and the upload is aborted as far as the store allows.
        """
        with (
            self._errors(f"{self.url}/{name} can't be written"),
            obstore.open_writer(
                self._store,
                self._key(name),
                attributes=attributes,
                buffer_size=UPLOAD_BUFFER_BYTES,
                max_concurrency=_PARTS_AT_A_TIME,
            ) as writer,
        ):
            for piece in pieces:
                writer.write(piece)

    def list(self, folder: str) -> Iterator[ListedObject]:
        """The objects below a folder, in no order."""
        prefix = self._key(folder)
        with self._errors(f"{self.url}/{folder} can't be listed"):
            for found in obstore.list(self._store, prefix, chunk_size=_LISTED_AT_A_TIME):
                for one in found:
                    name = one["path"].removeprefix(self._prefix)
                    yield ListedObject(name, one["size"], one["last_modified"].timestamp())

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder, in no order."""
        with self._errors(f"{self.url}/{folder} can't be listed"):
            found = obstore.list_with_delimiter(self._store, self._key(folder))
        return tuple(path.rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; missing ones are no error."""
        if not names:
            return
        with self._errors(f"{self.url}/{names[0]} can't be removed"):
            try:
                obstore.delete(self._store, [self._key(name) for name in names])
            except FileNotFoundError as error:
                # Some stores answer this way for a missing object.
                self._require_bucket(error)

    def abort_uploads(self, folder: str) -> int:
        """Abort multipart uploads below a folder, if the store has them; return how many."""
        return self._uploads.abort(self._key(folder)) if self._uploads else 0

    def presign(self, name: str, method: str, seconds: int) -> str | None:
        """A URL that answers anyone's ``GET`` or ``HEAD`` for this object, for a limited time.

        None if the store or its credentials can't sign one, now or less than a minute ago.
        """
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        # Signing may need another service, and wait for it for as long as any call may take.
        if self._signs_from is not None and time.monotonic() < self._signs_from:
            return None
        if isinstance(self._store, AzureStore):
            # There a signature names the permissions, and obstore's for HEAD has none.
            method = "GET"
        try:
            verb: Any = method
            with self._errors(f"{self.url}/{name} can't be signed"):
                return obstore.sign(self._store, verb, self._key(name), timedelta(seconds=seconds))
        except StorageUnavailable as error:
            if self._signs_from is None:
                log.warning("links can't be signed by the store", error=str(error))
            self._signs_from = time.monotonic() + _UNSIGNED_SECONDS
            return None

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _require_bucket(self, error: Exception) -> None:
        if _NO_BUCKET.search(str(error)):
            raise StorageUnavailable(f"{self.url}: there is no such bucket") from None

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            # Caught before the others, because it is an ``OSError`` too.
            self._require_bucket(error)
            raise StorageUnavailable(f"{what}: it isn't there") from None
        except PreconditionError:
            raise StorageUnavailable(f"{what}: another one has taken its place") from None
        except (BaseError, OSError, ValueError) as error:
            # Not every call has an error of its own for what isn't found.
            self._require_bucket(error)
            raise StorageUnavailable(f"{what}: {in_words(error)}") from None
        except BaseException as error:
            if type(error).__name__ != _PANIC:  # it has no other class to be known by
                raise
            words = "the client library can't work with its options and variables"
            raise StorageUnavailable(f"{what}: {words}") from None


def in_words(error: Exception) -> str:
    """Why a store refused, in a few words without text from the store."""
    text = str(error)
    if _IDENTITY_SERVICE.search(text):
        return "no credentials are set, and this machine has no identity that gives some"
    if status := _STATUS.search(text):
        code = _CODE.search(text)
        return status[1].strip() + (f" ({code[1]})" if code and code[1] else "")
    for sign, cause in _CAUSES.items():
        if sign in text:
            return cause
    return type(error).__name__
