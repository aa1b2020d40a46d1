"""AsyncAPI's own parser on schemas/asyncapi.yaml. Needs Node and npm, and the network once."""

import json
import subprocess
from pathlib import Path

import pytest

from schemas.build.generate import ASYNCAPI, asyncapi_document
from tests.support.npm import node_modules

pytestmark = [pytest.mark.slow, pytest.mark.long]

PARSER = {"@asyncapi/parser": "3.6.3"}
SCRIPT = Path(__file__).parents[1] / "support" / "node" / "parse_asyncapi.mjs"
_ERROR = 0
_KNOWN = {"asyncapi-latest-version"}  # tools read 3.0 more widely


def test_the_official_parser_takes_it_without_complaint_and_reads_what_was_written() -> None:
    modules = node_modules(PARSER)
    done = subprocess.run(
        ["node", SCRIPT, modules.parent, ASYNCAPI],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    document = asyncapi_document()
    assert [each for each in found["diagnostics"] if each["code"] not in _KNOWN] == []
    assert found["operations"] == list(document["operations"])
    assert found["plain"] == document


def test_the_official_parser_would_complain(tmp_path: Path) -> None:
    """So that its silence means something."""
    modules = node_modules(PARSER)
    broken = tmp_path / "asyncapi.yaml"
    text = ASYNCAPI.read_text("utf-8")
    broken.write_text(text.replace("action: receive", "action: consume"))
    done = subprocess.run(
        ["node", SCRIPT, modules.parent, broken],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert any(each["severity"] == _ERROR for each in json.loads(done.stdout)["diagnostics"])
