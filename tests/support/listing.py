"""Exports in lists."""

from typing import Any

from consumer.core.listing import ExportState, ListedExport


def ended_export(export_id: str, requested_at_ms: int, **changed: Any) -> ListedExport:
    """A completed export, or as changed."""
    fields: dict[str, Any] = {
        "state": "completed",
        "format": "csv",
        "user": "alice",
        "title": None,
        "rows": 10,
        "bytes": 1000,
        "completed_at_ms": requested_at_ms + 400,
        **changed,
    }
    fields["state"] = ExportState(fields["state"])
    if fields["state"] in {"queued", "running"}:
        fields["completed_at_ms"] = None
    return ListedExport(export_id, requested_at_ms=requested_at_ms, **fields)
