"""Sluice for services in Python: publish exports, and react to their ends.

Here are names alone; what they do is in ``producer`` and ``schemas``, which the wheel
``sluice-client`` has under this one name, so that no service gets a package called ``schemas``.
"""

from clients.errors import ClientError
from producer.downstream import completions
from producer.publisher import ExportPublisher
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, TerminalEvent
from schemas.requests import ExportRequested
from schemas.topics import Topics

__all__ = [
    "ClientError",
    "ExportCancelled",
    "ExportCompleted",
    "ExportFailed",
    "ExportPublisher",
    "ExportRequested",
    "TerminalEvent",
    "Topics",
    "completions",
]
