"""A node's removal of expired files: it counts, and goes on whatever the storage refuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from consumer.core.expiry import Due, Removed
from consumer.errors import StorageUnavailable
from consumer.metrics import Metrics
from consumer.storage.base import GroupStorage
from consumer.storage.local import LocalStorage
from sluice.expiring import Expiring
from tests.support.storages import PARTITION, cancelled, finished, read
from tests.support.waiting import until

HOUR = timedelta(hours=1)
FILES, REFUSALS = "sluice_expired_files_total", "sluice_expiry_failures_total"
MANIFESTS = "sluice_expired_manifests_total"


def later() -> datetime:
    return datetime.now(UTC) + 3 * HOUR


@asynccontextmanager
async def expiring(
    storage: GroupStorage, partitions: list[int], kept: timedelta | None = None
) -> AsyncIterator[Metrics]:
    metrics = Metrics()
    removing = Expiring(storage, lambda: partitions, kept, metrics, later)
    task = asyncio.create_task(removing.run(0.01))
    try:
        yield metrics
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def count(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name) or 0.0


async def test_it_removes_and_counts(tmp_path: Path) -> None:
    storage, now = LocalStorage(tmp_path), datetime.now(UTC)
    event = finished(storage, "a", b"abc", now + HOUR)
    stays = finished(storage, "b", b"x")
    storage.decide(cancelled("c"))
    async with expiring(storage, [PARTITION]) as metrics:
        await until(lambda: count(metrics, FILES) == 1)
        assert count(metrics, "sluice_expired_bytes_total") == 3
    async with expiring(storage, [0, PARTITION], HOUR) as metrics:
        await until(lambda: count(metrics, MANIFESTS) == 2)
        assert (count(metrics, FILES), count(metrics, REFUSALS)) == (0, 0)
    assert (read(storage, event), read(storage, stays)) == (None, b"x")
    assert [storage.manifest(one) for one in ("a", "b", "c")] == [None, stays, None]


async def test_manifests_stay_where_nothing_is_set_and_are_one_nodes_task(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.decide(cancelled("c"))
    for partitions, kept in (([0, PARTITION], None), ([PARTITION], HOUR)):
        event = finished(storage, f"a{len(partitions)}", b"x", datetime.now(UTC))
        async with expiring(storage, partitions, kept) as metrics:
            await until(lambda metrics=metrics: count(metrics, FILES) == 1)  # type: ignore[misc]
            await asyncio.sleep(0.1)
        assert storage.manifest(event.export_id)
    assert storage.manifest("c")


class Refusing(LocalStorage):
    """Refuses twice."""

    refusals = 2

    def expire(self, due: Due, *, dry_run: bool = False) -> Iterator[Removed]:
        self.refusals -= 1
        if self.refusals >= 0:
            raise StorageUnavailable("it refuses")
        return super().expire(due, dry_run=dry_run)


async def test_a_refusal_is_counted_and_tried_again(tmp_path: Path) -> None:
    storage = Refusing(tmp_path)
    finished(storage, "a", b"abc", datetime.now(UTC))
    finished(storage, "broken", b"abc", datetime.now(UTC))
    (tmp_path / "broken.manifest.json").write_text("{}")
    async with expiring(storage, [PARTITION]) as metrics:
        await until(lambda: count(metrics, FILES) == 1)
        await until(lambda: count(metrics, REFUSALS) >= 4)
    assert (tmp_path / "broken.csv").exists()
