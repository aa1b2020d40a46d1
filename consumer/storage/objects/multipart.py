"""Multipart uploads that nobody ended: S3 keeps their parts, unseen and paid for.

obstore has no call that lists uploads, or aborts one that another process began. But it signs URLs,
with whatever credentials it has found, and signs what stands in the query of its endpoint: so a
client whose endpoint has the query of S3's ListMultipartUploads or AbortMultipartUpload makes the
URLs of these. The path that it appends goes into a parameter that S3 ignores, as its name begins
with ``x-``. Invariant: no error shows a signed URL.
"""

import re
import ssl
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPException
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import quote
from xml.sax.saxutils import unescape

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS = 20.0
_SIGNED_FOR = timedelta(seconds=60)
_UPLOAD = re.compile("<Upload>.*?</Upload>", re.DOTALL)
_KEY = re.compile("<Key>(.*?)</Key>", re.DOTALL)
_ID = re.compile("<UploadId>(.*?)</UploadId>", re.DOTALL)
_MOST_BYTES = 16 * 1024 * 1024


class MultipartUploads:
    """Those of one bucket. ``client`` makes a client of it with another endpoint than its own."""

    def __init__(
        self, store: S3Store, client: Callable[[str], S3Store], ca_file: str | None
    ) -> None:
        self._store = store
        self._client = client
        self._ca_file = ca_file
        self._refused = False

    def abort(self, folder: str) -> int:
        """Abort those of keys below a folder; return how many, of the first thousand.

        Who still uploads there gets an error. Where the store refuses, none are: it may not let us
        look, and has a rule of its own.
        """
        try:
            return self._abort(folder)
        except (BaseError, OSError, HTTPException, ValueError) as error:
            # The client library's own: where requests go unsigned, or no credentials are given now.
            if not self._refused:
                self._refused = True
                why = f"{error.code}" if isinstance(error, HTTPError) else type(error).__name__
                log.warning("abandoned uploads can't be looked for", error=why)
            return 0

    def _abort(self, folder: str) -> int:
        found = self._send("GET", "", f"uploads=&prefix={quote(folder + '/', safe='')}")
        uploads = _UPLOAD.findall(found.decode(errors="replace"))
        for upload in uploads:
            key, upload_id = (pattern.search(upload) for pattern in (_KEY, _ID))
            if key and upload_id:
                query = f"uploadId={quote(unescape(upload_id[1]), safe='')}"
                self._send("DELETE", quote(unescape(key[1])), query)
        return len(uploads)

    def _send(self, method: Literal["GET", "DELETE"], key: str, query: str) -> bytes:
        # Signed only to learn the bucket's address.
        bucket, _, _ = obstore.sign(self._store, "GET", "x", _SIGNED_FOR).partition("/x?")
        client = self._client(f"{bucket}/{key}?{query}&x-path=")
        url = obstore.sign(client, method, "x", _SIGNED_FOR)
        request = urllib.request.Request(url, method=method)  # noqa: S310 - of the bucket's own
        tls = ssl.create_default_context(cafile=self._ca_file)
        try:
            with urllib.request.urlopen(  # noqa: S310 - likewise
                request, timeout=_TIMEOUT_SECONDS, context=tls
            ) as answer:
                return bytes(answer.read(_MOST_BYTES))
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:  # another process was faster
                return b""
            raise
