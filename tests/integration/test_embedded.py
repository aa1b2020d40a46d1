"""The embedded servers as commands: each starts, ends, dies and is refused in the same manner."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.embedded import EmbeddedKafka
from broker.errors import PortTakenError, ServerError
from broker.server import EmbeddedServer
from broker.store import EmbeddedStore
from tests.support.foreground import ends, first_line, foreground, java_below

pytestmark = pytest.mark.kafka

# Any look at the network would fail at once.
UNREACHABLE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")


@dataclass(frozen=True)
class Kind:
    command: str
    make: type[EmbeddedKafka | EmbeddedStore]
    name: str
    ready: str

    ended_in_order: Callable[[Path], bool]

    def log(self, directory: Path) -> Path:
        return directory / f"{self.name.lower()}.log"


KINDS = [
    Kind(
        "broker",
        EmbeddedKafka,
        "Kafka",
        "bootstrap.servers=127.0.0.1:",
        lambda directory: (directory / "kafka-logs" / ".kafka_cleanshutdown").exists(),
    ),
    Kind(
        "store",
        EmbeddedStore,
        "S3Proxy",
        "endpoint=http://127.0.0.1:",
        lambda directory: ".Server - Stopped" in (directory / "s3proxy.log").read_text(),
    ),
]


@pytest.fixture(
    # Both are the same class, and what is the store's own is in test_store.py.
    params=[KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.long)],
    ids=lambda kind: kind.command,
)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Its jars are in the user's cache."""
    kind: Kind = request.param
    kind.make(Path()).prepare()
    return kind


@pytest.fixture
def arguments(kind: Kind, tmp_path: Path) -> tuple[str, ...]:
    return (kind.command, "--port", "0", "--data-dir", str(tmp_path / "data"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_it_ends_with_0_on_a_signal(
    arguments: tuple[str, ...], kind: Kind, directory: Path, number: signal.Signals
) -> None:
    with foreground(*arguments, **UNREACHABLE) as process:
        assert first_line(process).startswith(kind.ready)
        java = java_below(process.pid)
        os.killpg(process.pid, number)  # as Ctrl-C does: to all of the terminal's processes
        _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")
    assert ends(java, within_seconds=0)
    assert kind.ended_in_order(directory)


def test_a_signal_during_the_start_ends_it_with_0(arguments: tuple[str, ...]) -> None:
    with foreground(*arguments) as process:
        java = java_below(process.pid)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=15)
    assert (process.returncode, output, errors) == (0, "", "")
    assert ends(java, within_seconds=0)


def test_the_server_is_killed_with_a_killed_parent(arguments: tuple[str, ...]) -> None:
    with foreground(*arguments) as process:
        first_line(process)
        java = java_below(process.pid)
        process.kill()
        assert ends(java)


def test_it_fails_when_the_server_dies(
    arguments: tuple[str, ...], kind: Kind, directory: Path
) -> None:
    with foreground(*arguments) as process:
        first_line(process)
        os.kill(java_below(process.pid), signal.SIGKILL)
        _, errors = process.communicate(timeout=15)
    log = kind.log(directory)
    assert process.returncode == 1
    assert errors == f"sluice: {kind.name} was killed by SIGKILL; its log is {log}\n"


def test_without_a_network_and_without_a_cache_one_line_says_so(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with foreground(*arguments, **cache, **UNREACHABLE) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert errors.count("\n") == 1
    assert "the Maven repository can't be reached" in errors


def test_a_taken_port_is_named_in_one_line(kind: Kind, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = (kind.command, "--port", str(port), "--data-dir", str(directory))
        with foreground(*taken) as process:
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        f"sluice: port {port} is taken: another program listens on 127.0.0.1:{port}\n"
    )


def test_a_second_one_on_its_directory_is_refused(kind: Kind, directory: Path) -> None:
    with kind.make(directory) as running:
        log = running.log_path.read_bytes()
        pid = running.pid
        assert refusal(kind.make(directory)) == (
            f"another {kind.name} runs on the data directory {directory}"
        )
        assert refusal(running) == f"the embedded {kind.name} runs already, as process {pid}"
        assert running.pid == pid
        assert running.log_path.read_bytes() == log


@pytest.mark.long
def test_a_picked_port_that_is_lost_is_replaced(kind: Kind, tmp_path: Path) -> None:
    server = kind.make(tmp_path / "one")
    thieves: list[socket.socket] = []

    def steal() -> None:
        # The port is known from here on, and the server binds it a second later.
        while not (port := known_port(server)):
            time.sleep(0.01)
        thieves.append(socket.create_server(("127.0.0.1", port)))

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        server.start()
        thief.join()
        stolen = thieves[0].getsockname()[1]
        assert server.port != stolen
        with pytest.raises(PortTakenError, match=f"port {stolen} is taken"):
            kind.make(tmp_path / "other", stolen).start()
    finally:
        server.stop()
        thieves[0].close()


def known_port(server: EmbeddedServer) -> int:
    with contextlib.suppress(ServerError):
        return server.port
    return 0


def refusal(server: EmbeddedServer) -> str:
    with pytest.raises(ServerError) as refused:
        server.start()
    return str(refused.value)
