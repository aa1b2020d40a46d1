"""Any message at all, through a whole partition: nothing but the known outcomes."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.base import Encoders
from consumer.formats.native import PythonEncoders, find_encoders
from schemas.completions import ExportFailed
from schemas.vocabulary import FailReason
from tests.support.partition import RECORDS, REQUESTS, Bench, Sent

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(), it, max_size=3)
)
OTHERS = ("format", "columns", "title", "user", "priority", "requested_at", "options")
REQUEST = st.fixed_dictionaries(
    {"type": st.just("export.requested") | JSON, "export_id": st.sampled_from(["a", "b"]) | JSON},
    optional=dict.fromkeys(OTHERS, JSON),
)
BATCH = st.fixed_dictionaries(
    {"export_id": st.sampled_from(["good", "a"]) | JSON},
    optional=dict.fromkeys(("seq", "rows", "last", "total_rows", "more"), JSON),
)
RAW = st.none() | st.binary(max_size=40)


@given(
    st.lists(st.tuples(st.just(REQUESTS), REQUEST | RAW), max_size=6),
    st.lists(st.tuples(st.just(RECORDS), BATCH | RAW), max_size=6),
    st.sampled_from([None, b"good", b"a", b"\xff"]),
    st.sampled_from([PythonEncoders(), find_encoders()]),
)
def test_whatever_comes_good_exports_end_and_nothing_breaks(
    requests: list[tuple[str, Any]],
    records: list[tuple[str, Any]],
    key: bytes | None,
    encoders: Encoders,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), encoders=encoders)
        bench.request("better")
        for topic, sent in requests + records:
            say(bench, topic, sent, key)
        bench.batch(0, [1], export_id="better", last=True)
        bench.partition.owners_known(below=len(bench.records))
        events = bench.turn()
        ended = {event.export_id: event for event in events}
        assert len(ended) == len(events)
        assert ended["better"].type == "export.completed"
        assert bench.partition.next_offsets == (len(bench.requests), len(bench.records))
        reasons = {event.reason for event in events if isinstance(event, ExportFailed)}
        assert FailReason.INTERNAL not in reasons


def say(bench: Bench, topic: str, sent: Any, key: bytes | None) -> None:
    if sent is None or isinstance(sent, bytes):
        bench.raw(topic, sent, key)
        return
    log = bench.requests if topic == REQUESTS else bench.records
    log.append(Sent(topic, len(log), bench.encode(sent), key))
