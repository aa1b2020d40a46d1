"""The worst kinds of hostile input, one after the other and then all at once, at two real nodes."""

from pathlib import Path

import pytest

from tests.hostile.catalogue import chosen
from tests.hostile.report import line
from tests.hostile.running import Run
from tests.hostile.together import run_together

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_no_kind_takes_a_node_down(bootstrap_servers: str, tmp_path: Path) -> None:
    async with Run(bootstrap_servers, tmp_path) as run:
        results = [await run.kind(kind) for kind in chosen([], short=True)]
    text = "\n".join(map(line, results))
    assert len(results) > 12
    assert not [result.name for result in results if result.broken], text
    assert all(result.measured.pdf_seconds for result in results), text


async def test_all_kinds_at_once_stay_within_400_mib(
    bootstrap_servers: str, tmp_path: Path
) -> None:
    """Resident; the kernel bounds what they may map, and none is refused any."""
    result = await run_together(bootstrap_servers, tmp_path, chosen([], short=True))
    assert not result.findings, line(result)
    assert result.measured.peak_bytes > 0
