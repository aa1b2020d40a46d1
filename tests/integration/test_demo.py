"""``sluice demo``, as a newcomer runs it: its own Kafka, a node, five exports, nothing left."""

import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from broker.store import EmbeddedStore
from tests.support.nodes import SLUICE

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LINE = re.compile(r"completed +(\d+) +(\d+) +[\d.]+ +([0-9a-f]{64}) +file://(\S+)")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_five_exports_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [SLUICE, "demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [match.groups() for match in map(LINE.match, done.stdout.splitlines()) if match]
    assert [int(rows) for rows, *_ in lines] == [1_000, 10_000, 50_000, 1_000, 10_000]
    for _, size, sha256, location in lines:
        content = Path(location).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size), sha256)
        assert Path(location).parent == tmp_path / "exports"
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no terminal, no colours"


def test_five_exports_complete_in_a_bucket(tmp_path: Path) -> None:
    done = subprocess.run(
        [SLUICE, "demo", "--storage", "s3"],
        cwd=tmp_path,
        env=environment() | {"SLUICE_SCRATCH_DIR": str(tmp_path / "scratch")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"completed .* ([0-9a-f]{64}) +s3://sluice-demo/(\S+)", done.stdout)
    assert len(found) == 5, done.stdout
    with EmbeddedStore(tmp_path / ".store") as store:
        for sha256, name in found:
            content = (store._buckets / "sluice-demo" / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == sha256
        assert store.credentials.secret_access_key not in done.stdout + done.stderr


def test_a_signal_ends_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [SLUICE, "demo"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout
    while "node works" not in demo.stdout.readline():
        assert demo.poll() is None
    (kafka,) = children_of(demo.pid)
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=30)
    assert demo.returncode != 0
    deadline = time.monotonic() + 5
    while Path(f"/proc/{kafka}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
