"""Kafka's storage in a data directory, formatted once.

Invariant: ``kafka-logs`` exists only formatted.
"""

import base64
import shutil
import uuid
from collections.abc import Mapping

from broker.class_archive import archive_options
from broker.config import LOGGING
from broker.directory import PROPERTIES, DataDirectory
from broker.errors import ServerError
from broker.jars import Distribution
from broker.java import run_java
from broker.server_log import last_error

STORAGE = "kafka-logs"
_UNFINISHED_STORAGE = "kafka-logs.partial"


def format_storage(
    directory: DataDirectory,
    properties: Mapping[str, str],
    distribution: Distribution,
    class_path: str,
    inherited: int,
) -> None:
    """Make Kafka's storage with a new cluster id, unless it's there.

    Raises:
        ServerError: Kafka refuses, in its own words.
    """
    if (directory.path / STORAGE).is_dir():
        return
    shutil.rmtree(directory.path / _UNFINISHED_STORAGE, ignore_errors=True)
    directory.write_properties({**properties, "log.dirs": _UNFINISHED_STORAGE})
    options = ["-Xmx128m", *LOGGING, *archive_options(distribution), "-cp", class_path]
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={_new_cluster_id()}"]
    status = run_java(
        [*options, *tool, "-c", PROPERTIES],
        directory=directory.path,
        output=directory.log_path,
        inherited=inherited,
    )
    if status != 0:
        words = last_error(directory.read_log())
        raise ServerError(f"Kafka can't format {directory.path}: {words}")
    # Rename only now, so that interrupted formatting starts again.
    (directory.path / _UNFINISHED_STORAGE).rename(directory.path / STORAGE)


def _new_cluster_id() -> str:
    # As Kafka's Uuid.randomUuid: base64 without padding.
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
