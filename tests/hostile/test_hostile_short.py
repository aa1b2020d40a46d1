"""The worst kinds of hostile input, one after the other and then all at once, at two real nodes."""

from pathlib import Path

import pytest

from tests.hostile.catalogue import chosen
from tests.hostile.report import line
from tests.hostile.running import Run
from tests.hostile.together import run_together
from tests.model.tape import SEED

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

# The others of the short form have like ones among the tests of costly messages, heavy records,
# tiny frames and bodies over HTTP, which are part of `make test` too.
NOWHERE_ELSE = [
    "100,000 fields, options, columns",
    "numbers of up to 900,000 digits",
    "records of 102 KB, long turns",
    "hostile bodies of 900 KB",
    "a manifest that hangs, queried over HTTP",
]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(NOWHERE_ELSE, id="tested nowhere else"),
        pytest.param(None, id="half of the others", marks=pytest.mark.long),
    ],
)
async def test_no_kind_takes_a_node_down(
    bootstrap_servers: str, tmp_path: Path, names: list[str] | None
) -> None:
    if names is None:
        others = [kind for kind in chosen([], short=True) if kind.name not in NOWHERE_ELSE]
        kinds = others[SEED % 2 :: 2]  # `make hostile` sends them all
        assert len(kinds) > 8
    else:
        kinds = chosen(names, short=True)
        assert len(kinds) == len(names)
    async with Run(bootstrap_servers, tmp_path) as run:
        results = [await run.kind(kind) for kind in kinds]
    text = "\n".join(map(line, results))
    assert not [result.name for result in results if result.broken], text
    assert all(result.measured.pdf_seconds for result in results), text


@pytest.mark.long
async def test_all_kinds_at_once_stay_within_400_mib(
    bootstrap_servers: str, tmp_path: Path
) -> None:
    """Resident; the kernel bounds what they may map, and none is refused any."""
    result = await run_together(bootstrap_servers, tmp_path, chosen([], short=True))
    assert not result.findings, line(result)
    assert result.measured.peak_bytes > 0
