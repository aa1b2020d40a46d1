"""``sluice store``: a real S3 server in the foreground."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from broker.errors import ServerError
from broker.store import EmbeddedStore, require_bucket_name
from sluice.embedded import PortOption, run_server, terminal_notice


def _bucket_name(name: str | None) -> str | None:
    if name is not None:
        try:
            require_bucket_name(name)
        except ServerError as error:
            raise typer.BadParameter(str(error)) from None
    return name


def run_store(
    port: PortOption = 9000,
    data_dir: Annotated[
        Path,
        typer.Option(
            help="Where its objects are kept: by default .store under the current directory.",
            file_okay=False,
        ),
    ] = Path(".store"),
    bucket: Annotated[
        str | None,
        typer.Option(help="A bucket to make, unless it is there.", callback=_bucket_name),
    ] = None,
) -> None:
    """Run the embedded object store, which speaks S3, until SIGINT or SIGTERM.

    When it is ready it prints its endpoint, and lines by which a shell that runs them reaches it.
    Credentials are made by chance and kept in the directory, in credentials.json.
    Started again on the same directory it has its objects.
    """
    store = EmbeddedStore(data_dir, port, notice=terminal_notice())

    def ready() -> str:
        if bucket:
            store.create_bucket(bucket)
        return _usage(store, bucket)

    run_server(store, ready)


def _usage(store: EmbeddedStore, bucket: str | None) -> str:
    """The lines to print, which are a shell script as a whole."""
    variables = {
        "AWS_ACCESS_KEY_ID": store.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": store.credentials.secret_access_key,
        "SLUICE_STORAGE_OPTIONS": f"endpoint={store.endpoint}",
    }
    if bucket:
        variables["SLUICE_STORAGE_URL"] = f"s3://{bucket}"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([f"endpoint={store.endpoint}", *exports])
