"""An upstream service: ask for a file, then send its rows."""

import asyncio
import os
import uuid

from sluice_client import ExportPublisher, ExportRequested, Topics

KAFKA = os.environ.get("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPICS = Topics.named(os.environ.get("SLUICE_TOPIC_PREFIX", "export"))


async def main() -> None:
    """Export 1,000 orders."""
    request = ExportRequested.model_validate(
        {
            "export_id": f"orders-{uuid.uuid4().hex[:8]}",
            "format": "csv",
            "columns": ["id", {"key": "amount", "header": "Amount (EUR)"}],
            "user": "alice",
        }
    )
    async with (
        ExportPublisher(TOPICS, bootstrap_servers=KAFKA) as publisher,
        publisher.export(request) as export,  # cancelled, if the block raises
    ):
        for page in range(10):  # rows go out as they come: memory stays flat
            await export.send([n, "12.50"] for n in range(page * 100, page * 100 + 100))
    print(f"{request.export_id}: {export.rows} rows sent")


asyncio.run(main())
