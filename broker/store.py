"""The embedded object store: S3Proxy, which speaks S3 and keeps objects as files.

Layout of its data directory: ``buckets/BUCKET/KEY``, ``credentials.json``, and what every server
has (``broker.directory``).

Invariant: no request is answered that isn't signed with the directory's credentials.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from broker.credentials import Credentials
from broker.directory import PROPERTIES, DataDirectory
from broker.errors import ServerError
from broker.jars import Distribution, locked_s3proxy
from broker.server import EmbeddedServer
from broker.store_config import LOGBACK, LOGGING, STARTED, endpoint_url, store_properties

_BUCKETS = "buckets"
_CREDENTIALS = "credentials.json"
# The names that S3 itself takes (Amazon S3 User Guide, "General purpose bucket naming rules"),
# without the reserved prefixes and suffixes.
_BUCKET = re.compile(r"(?!\d+(\.\d+){3}$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class EmbeddedStore(EmbeddedServer):
    """A real S3 server on 127.0.0.1, its objects in ``data_dir``; see ``EmbeddedServer``.

    Args:
        data_dir: where everything of this store is; made if missing.
        port: where it listens; 0 picks a free one, which this object then keeps.
        heap_mib: the most memory for Java's heap, in MiB.
        notice: called with lines while jars have to be fetched first.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        heap_mib: int = 384,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            DataDirectory(data_dir.absolute(), "S3Proxy"),
            port,
            heap_mib=heap_mib,
            java_options=(f"-Dlogback.configurationFile={LOGBACK}",),
            notice=notice,
        )

    @property
    def endpoint(self) -> str:
        """Its URL; known from ``spawn`` on, and kept over a restart."""
        return endpoint_url(self.port)

    @property
    def credentials(self) -> Credentials:
        """The credentials that sign requests; known from ``spawn`` on.

        Raises:
            ServerError: their file is none of ours.
        """
        found = Credentials.read(self._directory.path / _CREDENTIALS)
        if found is None:
            raise ServerError("the embedded S3Proxy has no credentials before it is started")
        return found

    def create_bucket(self, name: str) -> None:
        """Make a bucket, unless it's there.

        Raises:
            ServerError: S3 has no buckets of such a name, or it can't be written.
        """
        require_bucket_name(name)
        # To S3Proxy a bucket is a directory, and the directory's permissions are the bucket's: if
        # others may read it, every client may.
        try:
            (self._buckets / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServerError(f"the bucket {name} can't be made: {error}") from None

    @property
    def _buckets(self) -> Path:
        return self._directory.path / _BUCKETS

    def _distribution(self) -> Distribution:
        return locked_s3proxy()

    def _configure(self, port: int, jars: str, lock: int) -> Sequence[str]:
        del jars, lock  # only the server itself is run
        self._buckets.mkdir(mode=0o700, exist_ok=True)
        credentials = Credentials.read(self._directory.path / _CREDENTIALS)
        if credentials is None:
            credentials = Credentials.random()
            self._directory.write(_CREDENTIALS, credentials.as_json())
        self._directory.write(LOGBACK, LOGGING)
        self._directory.write_properties(store_properties(port, self._buckets, credentials))
        return ("org.gaul.s3proxy.Main", "--properties", PROPERTIES)

    def _is_up(self, log: str) -> bool:
        return STARTED in log


def require_bucket_name(name: str) -> None:
    """Do nothing if S3 takes buckets of that name.

    Raises:
        ServerError: it doesn't.
    """
    if not _BUCKET.fullmatch(name):
        raise ServerError(
            f"S3 has no bucket named {name!r}: 3 to 63 of a-z, 0-9, - and ., "
            "a letter or digit at both ends"
        )
