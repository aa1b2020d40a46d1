"""Checks whether this build works at all: a small export, from its request to its file.

If our own code breaks on a message, this finds the cause. If the trial completes, the message
contains something that our code can't handle; if the trial breaks too, so would every message.
Invariant: the only outside trace is log lines of the export ``sluice-trial``.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from consumer.core.resume import ResumePoint
from consumer.exports.export_context import ExportContext
from consumer.exports.in_hand import PartitionsInHand
from consumer.exports.messages import KeptMessage
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.metrics import Metrics
from consumer.storage.local import LocalStorage
from schemas.completions import ExportCompleted, ExportFailed

_ID: Final = "sluice-trial"
_REQUEST: Final = {"type": "export.requested", "export_id": _ID, "format": "csv", "columns": ["a"]}
_BATCH: Final = {"export_id": _ID, "seq": 0, "rows": [[1], {"a": "b"}], "last": True}
_MOST_BYTES: Final = 1000
_START: Final = ResumePoint(0, (), 0, 0)


class TrialFailed(Exception):  # noqa: N818 - an outcome
    """The trial did not complete; the message says how it ended."""


def try_an_export(context: ExportContext) -> None:
    """Run an export as a partition would, in a temporary directory. Blocks for milliseconds.

    Raises:
        TrialFailed: it did not complete.
        Exception: whatever our code breaks with.
    """
    with TemporaryDirectory(prefix="sluice-trial-") as directory:
        # Separate metrics and marks: a trial doesn't count as work of the node.
        apart = replace(
            context,
            storage=LocalStorage(Path(directory)),
            metrics=Metrics(),
            max_export_bytes=_MOST_BYTES,
            in_hand=PartitionsInHand(),
        )
        partition = PartitionExports(0, _START, apart)
        partition.take_requests([_message("requests", _REQUEST)])
        partition.take_records([_message("records", _BATCH)])
        while (result := partition.turn()).end is TurnEnd.SPENT:
            pass
        checkpoint = partition.take_checkpoint(None, progress=False)
        partition.discard()
    match checkpoint.outcome.events if checkpoint else []:
        case [ExportCompleted(rows=2)]:
            return
        case [ExportFailed(reason=reason, message=message)]:
            raise TrialFailed(f"{reason.value}: {message}")
        case _:
            raise TrialFailed(str(result.refusal or "it did not end"))


def _message(topic: str, sent: object) -> KeptMessage:
    value = json.dumps(sent).encode()
    return KeptMessage(topic, 0, 0, int(time.time() * 1000), _ID.encode(), value)
