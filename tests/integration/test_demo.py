"""``sluice demo``, as a newcomer runs it: its own Kafka, a node, five exports, nothing left."""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from broker.store import EmbeddedStore
from tests.support.foreground import ends
from tests.support.nodes import SLUICE
from tests.support.waiting import wait_until

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


@pytest.mark.long
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


@contextmanager
def demo(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``sluice demo`` with temporary files of its own; at the end nothing of it may be left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [SLUICE, "demo", *arguments],
        cwd=tmp_path,
        env=environment() | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
    assert not list(temporary.glob("sluice-demo-*"))


def line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout
    while words not in (line := process.stdout.readline()):
        assert process.poll() is None
    return line


def catches_signals(process: subprocess.Popen[str]) -> bool:
    """Whether Python's start is behind it: it handles SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def interrupted(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send the signal, and a second one as the impatient do. Returns what was on stderr."""
    servers = children_of(process.pid)
    process.send_signal(number)
    time.sleep(0.3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    for server in servers:
        assert ends(server, within_seconds=5)
    return errors


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("", signal.SIGINT),  # while its modules are imported
        ("", signal.SIGTERM),
        ("starting an embedded Apache Kafka", signal.SIGINT),
        pytest.param("Kafka answers", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("node works", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("STATE", signal.SIGTERM, marks=pytest.mark.long),  # as all of it stops
    ],
)
def test_a_signal_ends_it_at_any_moment_and_leaves_nothing(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    with demo(tmp_path) as process:
        if moment:
            line_with(process, moment)
        else:
            wait_until(lambda: catches_signals(process))
        interrupted(process, number)


def stalls(url: str) -> float:
    counted = r"^sluice_event_loop_stall_seconds_count (\S+)$"
    (count,) = re.findall(counted, httpx.get(f"{url}metrics").text, re.MULTILINE)
    return float(count)


@pytest.mark.long
def test_kept_it_serves_the_page_until_a_signal_comes(tmp_path: Path) -> None:
    with demo(tmp_path, "--keep") as process:
        (url,) = re.findall(r"http://\S+/", line_with(process, "until Ctrl-C, the page"))
        page = httpx.get(url, headers={"Accept": "text/html"})
        assert "<title>Exports · Sluice</title>" in page.text
        listed = httpx.get(f"{url}export", params={"state": "completed"}).json()["exports"]
        assert len(listed) == 5
        link = httpx.post(f"{url}export/{listed[0]['export_id']}/link").json()["url"]
        assert len(httpx.get(link).content) == listed[0]["bytes"]
        # As on a machine that is busy: the loop stands still.
        before = stalls(url)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: stalls(url) > before)
        assert "stood still" not in interrupted(process, signal.SIGTERM)
