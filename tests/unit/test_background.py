"""Background work goes on after a fault, which is logged."""

import asyncio

import pytest
from structlog.testing import capture_logs

from sluice.background import keep_running
from tests.support.waiting import until


class Panic(BaseException):
    """As a native library raises it."""


@pytest.mark.parametrize("fault", [ValueError("of ours"), Panic("of a library")])
async def test_what_fails_begins_again_and_is_logged(fault: BaseException) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise fault
        await asyncio.Event().wait()

    with capture_logs() as logs:
        task = asyncio.create_task(keep_running("tidy", work, again_seconds=0.01))
        await until(lambda: runs == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert [line["task"] for line in logs] == ["tidy", "tidy"]
    assert {line["log_level"] for line in logs} == {"error"}
