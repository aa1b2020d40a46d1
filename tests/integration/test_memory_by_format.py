"""A million rows take little more memory than ten thousand, in every format, in a real node."""

from pathlib import Path

import pytest

from bench.memory import CASES, FileKind, peaks

pytestmark = [pytest.mark.kafka, pytest.mark.long]

MOST_GROWN_MIB = 40


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_million_rows_take_little_more_memory_than_ten_thousand(
    bootstrap_servers: str, tmp_path: Path, case: FileKind
) -> None:
    found = await peaks(bootstrap_servers, tmp_path, case)
    assert found.grown_mib <= MOST_GROWN_MIB, found
