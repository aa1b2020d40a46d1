"""Whether the broker keeps what it has acknowledged: a group's committed offsets never go back.

The nodes can't do better than the commits that they are given. Where these go back, what follows is
the broker's, and its log is kept as it was then. Invariant: it only reads.
"""

import asyncio
import shutil
import time
from pathlib import Path

from aiokafka.errors import KafkaError

from consumer.cluster import Cluster, CommitsWentBack
from consumer.errors import NodeRefused
from schemas.topics import Topics

_EVERY_SECONDS = 0.25
_AGAIN_SECONDS = 0.5


class CommitWatch:
    """Asks the coordinator all the time; ``went_back`` says what it took back, and when.

    ``kafka`` is the broker's data directory; the logs of commits in it are copied to ``evidence``
    when they go back for the first time.
    """

    def __init__(
        self, servers: str, topics: Topics, group_id: str, partitions: int, kafka: Path
    ) -> None:
        self._options = {"bootstrap_servers": servers}
        self._topics = topics
        self._group_id = group_id
        self._partitions = range(partitions)
        self._kafka = kafka
        self._evidence = kafka.with_name("commits that went back")
        self.went_back: list[str] = []

    async def run(self) -> None:
        """Until cancelled, over any absence of the broker."""
        while True:
            try:
                async with Cluster(self._topics, self._group_id, self._options) as cluster:
                    while True:
                        await cluster.fetch_all_committed(self._partitions)
                        await asyncio.sleep(_EVERY_SECONDS)
            except CommitsWentBack as error:
                self._note(str(error))
            except (KafkaError, NodeRefused, OSError):
                await asyncio.sleep(_AGAIN_SECONDS)

    def _note(self, what: str) -> None:
        self.went_back.append(f"{what} at {time.strftime('%H:%M:%SZ', time.gmtime())}")
        if not self._evidence.exists():
            for log in self._kafka.rglob("__consumer_offsets-*"):
                shutil.copytree(log, self._evidence / log.name)
            for log in self._kafka.glob("*.log"):
                shutil.copy(log, self._evidence)
