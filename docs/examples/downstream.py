"""A downstream service: do something about each export that has ended."""

import asyncio
import os
import signal
from contextlib import suppress

from sluice_client import ExportCompleted, TerminalEvent, Topics, completions

KAFKA = os.environ.get("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPICS = Topics.named(os.environ.get("SLUICE_TOPIC_PREFIX", "export"))


async def main() -> None:
    """Follow until SIGINT or SIGTERM; then leave the group, and let others go on at once."""
    following = asyncio.create_task(follow())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    with suppress(asyncio.CancelledError):
        await following


async def follow() -> None:
    """Handle events as a member of the group ``mailer``."""
    async with completions(TOPICS, "mailer", bootstrap_servers=KAFKA) as events:
        async for event in events:
            await tell(event)  # it is committed when the loop fetches the next one


async def tell(event: TerminalEvent) -> None:
    """Send a mail, say. After a crash an event may come again, with the same ``event_id``."""
    if isinstance(event, ExportCompleted):
        print(f"{event.export_id}: {event.rows} rows in {event.location}", flush=True)
    else:
        print(f"{event.export_id}: {event.type}, {event.message}", flush=True)


asyncio.run(main())
