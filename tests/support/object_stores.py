"""Object stores that tests run on: one for the session, a bucket of its own for each test."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from obstore.store import ObjectStore, from_url

from broker.store import EmbeddedStore

_TIMEOUT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Bucket:
    """An empty bucket, and how to reach it.

    ``url`` is a root of SLUICE_STORAGE_URL, ``options`` are those of SLUICE_STORAGE_OPTIONS, and
    ``credentials`` the provider's usual environment variables.
    """

    url: str
    options: Mapping[str, str]
    credentials: Mapping[str, str]

    def environment(self, prefix: str = "") -> dict[str, str]:
        """What a process needs that keeps its files below ``prefix`` in the bucket."""
        return {
            **self.credentials,
            "SLUICE_STORAGE_URL": f"{self.url}/{prefix}" if prefix else self.url,
            "SLUICE_STORAGE_OPTIONS": ",".join(f"{k}={v}" for k, v in self.options.items()),
        }

    def client(self, headers: Mapping[str, str] | None = None, **options: str) -> ObjectStore:
        """A client of the whole bucket, which doesn't retry.

        ``headers`` go with every request, ``options`` before its own.
        """
        credentials = {name.lower(): value for name, value in self.credentials.items()}
        config: Any = {**self.options, **credentials, **options}  # of the URL's own provider
        found: ObjectStore = from_url(
            self.url,
            config=config,
            client_options={
                "allow_http": True,
                "default_headers": dict(headers or {}),
                "timeout": _TIMEOUT,  # not the usual 30 s: machines that test are busy
            },
            retry_config={"max_retries": 0, "retry_timeout": _TIMEOUT},
        )
        return found


def bucket_of(store: EmbeddedStore) -> Bucket:
    """A new bucket of the embedded store."""
    name = f"test-{secrets.token_hex(6)}"
    store.create_bucket(name)
    return Bucket(
        f"s3://{name}",
        {"endpoint": store.endpoint},
        {
            "AWS_ACCESS_KEY_ID": store.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": store.credentials.secret_access_key,
        },
    )
