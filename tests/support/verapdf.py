"""veraPDF, the validator of PDF/A and PDF/UA of the PDF Association's industry.

Its jars come from a Maven repository, locked by their hashes, and are kept where Kafka's are.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from broker.errors import ServerError
from broker.jars import Distribution, Jar, class_path
from broker.java import java_executable

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "verapdf.js"
_SECONDS = 180


def validate(files: list[Path], *flavours: str) -> list[dict[str, Any]]:
    """What it finds in each file for each flavour, such as ``PDFA_2_U``.

    ``compliant``, ``checks`` (how many were made) and ``broken``: a message by clause and number of
    the test. Skips the test where there is no Java, or the jars can't be had.
    """
    lines = (line.split() for line in (_HERE / "verapdf.sha256").read_text("ascii").splitlines())
    jars = tuple(Jar(path, sha256) for sha256, path in lines)
    distribution = Distribution("verapdf", "veraPDF", jars)
    try:
        java = java_executable()
        path = class_path(distribution, distribution.cache_directory())
    except ServerError as error:
        pytest.skip(f"veraPDF is not here: {error}")
    done = subprocess.run(
        [
            *(str(java), "-cp", path, "org.mozilla.javascript.tools.shell.Main", "-opt", "-1"),
            *(str(_SCRIPT), ",".join(flavours), *map(str, files)),
        ],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
