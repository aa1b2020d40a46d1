"""The client of a bucket, from its URL and options; credentials come by the provider's usual chain.

Nothing is sent here. Invariant: no message shows the value of an option.
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError, UnknownConfigurationKeyError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.client_values import ENDPOINTS, check_values, variables_of
from consumer.storage.objects.multipart import MultipartUploads
from consumer.storage.objects.urls import split_url

CA_FILE = "ca_file"
"""Our own option: a PEM file of certificates to trust besides the system's."""
_CLIENT: Any = {
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=20),
}
_RETRIES: Any = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1)},
}
"""A request ends within half a minute: none begins after 10 s, and none takes more than 20."""


def open_bucket(url: str, options: Mapping[str, str]) -> Bucket:
    """The bucket at a URL; nothing is sent yet.

    Raises:
        ValueError: an option can't be used; the message names it, not its value.
    """
    scheme, bucket, prefix = split_url(url)
    config = {key: value for key, value in options.items() if key != CA_FILE}
    check_values(config)
    client, variables = dict(_CLIENT), variables_of(scheme, os.environ)
    check_values(variables)
    if any(value.startswith("http://") for value in [*config.values(), *variables.values()]):
        client["allow_http"] = True  # the operator chose the endpoint
    if CA_FILE in options:
        client["root_certificate"] = _certificates(Path(options[CA_FILE]))
    try:
        store = _store(scheme, bucket, config, client)
    except UnknownConfigurationKeyError:
        unknown = ", ".join(key for key in config if not _is_known(scheme, bucket, key))
        raise ValueError(f"{unknown}: there is no such option of {scheme}://") from None
    except (BaseError, ValueError, OSError) as error:
        raise ValueError(f"can't be used: {_without(config.values(), error)}") from None
    uploads = None
    if isinstance(store, S3Store):
        uploads = MultipartUploads(
            store, lambda endpoint: _at(endpoint, bucket, config, client), options.get(CA_FILE)
        )
    url = "/".join(filter(None, (f"{scheme}://{bucket}", prefix)))
    return Bucket(store, url, prefix, uploads)


def _at(endpoint: str, bucket: str, config: dict[str, str], client: dict[str, Any]) -> S3Store:
    """A client for an endpoint that names the bucket."""
    own = {name: value for name, value in config.items() if name not in ENDPOINTS}
    own |= {"endpoint": endpoint, "virtual_hosted_style_request": "true"}
    more: Any = {"config": own, "client_options": {**client, "allow_http": True}}
    return S3Store(bucket, **more)


def _store(scheme: str, bucket: str, config: dict[str, str], client: dict[str, Any]) -> ObjectStore:
    more: Any = {"config": config, "client_options": client, "retry_config": _RETRIES}
    if scheme == "s3":
        return S3Store(bucket, **more)
    if scheme == "gs":
        return GCSStore(bucket, **more)
    return AzureStore(bucket, **more)


def _is_known(scheme: str, bucket: str, key: str) -> bool:
    try:
        _store(scheme, bucket, {key: ""}, {})
    except UnknownConfigurationKeyError:
        return False
    except (BaseError, ValueError, OSError):
        pass
    return True


def _certificates(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{CA_FILE}: {path} can't be read: {error.strerror}") from None


def _without(secrets: Iterable[str], error: Exception) -> str:
    """The first line of an error, without configured values."""
    line = str(error).partition("\n")[0]
    # The longest first, because one may contain another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        line = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", line)
    return line.rpartition(" error: ")[2]
