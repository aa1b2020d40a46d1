"""``python -m bench.encode PEER MESSAGES DATA_SET FILE``: one contender in Python, once.

Prints one line of JSON: seconds and CPU seconds from the first message to the whole file, and the
resident peak of the process. The Node contenders print the same.
"""

import json
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.peers.base import Job, NewEncoder
from bench.processes import peak_bytes
from bench.rows import DataSet, read_messages

_PEERS = {
    "ours-csv": "bench.peers.ours:prepare_csv",
    "ours-csv-python": "bench.peers.ours:prepare_csv_python",
    "ours-pdf": "bench.peers.ours:prepare_pdf",
    "ours-pdf-python": "bench.peers.ours:prepare_pdf_python",
    "ours-xlsx": "bench.peers.ours:prepare_xlsx",
    "ours-ndjson": "bench.peers.ours:prepare_ndjson",
    "ours-json": "bench.peers.ours:prepare_json",
    "ours-xml": "bench.peers.ours:prepare_xml",
    "ours-pdf-cjk": "bench.peers.ours:prepare_pdf_cjk",
    "copy": "bench.peers.copying:prepare",
    "csv-loop": "bench.peers.csv_loop:prepare",
    "polars": "bench.peers.polars_csv:prepare",
    "reportlab": "bench.peers.reportlab_pdf:prepare",
    "xlsxwriter": "bench.peers.xlsxwriter_xlsx:prepare",
    "lxml": "bench.peers.lxml_xml:prepare",
    "fpdf2": "bench.peers.fpdf2_pdf:prepare",
}
"""By name, so that a process has no other contender's library in its memory."""


def run(peer: str, messages: Path, data_set: DataSet, path: Path) -> dict[str, float]:
    """Make the file; what it took."""
    prepare: Callable[[], NewEncoder] = pkgutil.resolve_name(_PEERS[peer])
    begin = prepare()
    cpu, begun = time.process_time(), time.perf_counter()
    with messages.open("rb") as file, path.open("wb") as out:
        encoder = begin(Job(data_set.columns, data_set.widths, out))
        for message in read_messages(file):
            encoder.message(message)
        encoder.finish()
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": peak_bytes(),
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    print(json.dumps(run(given[0], Path(given[1]), DataSet(given[2]), Path(given[3]))))
