"""Logging: what a line looks like, where it goes, and which lines of the libraries are heard."""

import asyncio
import json
import logging
import os
import pty
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiokafka.protocol.admin import SaslAuthenticateRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from clients.contact import Contact
from sluice.http.server import HttpServer
from sluice.logs import KafkaFilter, configure_logging, hushed_while_away

LIBRARIES = ("aiokafka", "asyncio", "uvicorn")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging belongs to the process: give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    written = capsys.readouterr()
    assert written.out == ""
    return [json.loads(line) for line in written.err.splitlines()]


def test_a_json_line_has_its_keys_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    log = structlog.get_logger("sluice.node").bind(export_id="ord-1", partition=3, offset=42)
    log.info("export ended", state="completed")
    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert list(line.items()) == [
        ("level", "info"),
        ("logger", "sluice.node"),
        ("event", "export ended"),
        ("export_id", "ord-1"),
        ("partition", 3),
        ("offset", 42),
        ("state", "completed"),
    ]


def test_lines_of_libraries_have_the_same_keys(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.contextvars.bind_contextvars(partition=7)
    logging.getLogger("uvicorn.error").warning("Invalid %s\n", "request")
    (line,) = lines(capsys)
    line.pop("timestamp")
    assert line == {
        "level": "warning",
        "logger": "uvicorn.error",
        "event": "Invalid request",
        "partition": 7,
    }


def test_auto_means_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "auto")
    structlog.get_logger("x").info("hello")
    assert lines(capsys)[0]["event"] == "hello"


def fail(hush: str = "hush-hush") -> None:
    raise ValueError(f"no good, {len(hush)} letters")


def test_a_traceback_is_one_field_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        fail()
    except ValueError:
        structlog.get_logger("ours").exception("failed")
        logging.getLogger("asyncio").exception("failed too")
    for line in lines(capsys):
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("ValueError: no good, 9 letters")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", log_format)
    try:
        fail()
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    text = capsys.readouterr().err
    assert "no good" in text
    assert "hush-hush" not in text


def test_whatever_is_logged_stays_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("x").info("a\nb", raw=b"\xff\n", error=OSError("x"), text="ü\u2028\ud800")
    (line,) = lines(capsys)
    assert line["event"] == "a\nb"
    assert line["text"] == "ü\u2028\ud800"
    assert line["error"] == "x"


def test_the_level_holds_for_ours_and_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        log.debug("no")
        log.info("no")
        log.warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes", "yes"]


def test_configuring_again_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("x")
    configure_logging("error", "console")
    log.info("unheard")
    configure_logging("info", "json")
    log.info("heard once")
    assert [line["event"] for line in lines(capsys)] == ["heard once"]


def test_warnings_of_python_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", "json")
        warnings.warn("old ways", stacklevel=1)
    (line,) = lines(capsys)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "old ways" in line["event"]


def test_console_lines_have_no_colours_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    structlog.get_logger("sluice.node").info("export ended", export_id="ord-1", offset=42)
    text = capsys.readouterr().err
    assert re.match(
        r"\S+Z \[info +\] export ended +\[sluice.node\] export_id=ord-1 offset=42\n", text
    )


def test_control_characters_do_not_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    structlog.get_logger("x").info("a\x1b[2Jb\nc", title="\x1b[31mred\x9b", user="ünal")
    text = capsys.readouterr().err
    assert r"a\x1b[2Jb\x0ac" in text
    assert r"title=\x1b[31mred\x9b" in text
    assert "user=ünal" in text


def test_on_a_terminal_auto_is_readable_and_coloured() -> None:
    terminal, end = pty.openpty()
    program = (
        "import structlog; from sluice.logs import configure_logging\n"
        "configure_logging('info', 'auto'); structlog.get_logger('x').info('hello', n=1)"
    )
    subprocess.run([sys.executable, "-c", program], stderr=end, check=True)
    os.close(end)
    text = os.read(terminal, 4096).decode()
    os.close(terminal)
    assert "hello" in text
    assert "\x1b[" in text
    assert not text.startswith("{")


def test_uvicorn_tells_its_life_at_debug_only(capsys: pytest.CaptureFixture[str]) -> None:
    for level in ("info", "debug"):
        configure_logging(level, "json")
        logging.getLogger("uvicorn.error").info("Started server process at %s", level)
    assert [line["event"] for line in lines(capsys)] == ["Started server process at debug"]


async def test_the_http_server_speaks_through_the_same_formatter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def broken(_request: Request) -> None:
        fail()

    app = Starlette(routes=[Route("/", broken)])
    configure_logging("info", "json")
    async with HttpServer(app, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"500 Internal Server Error" in await reader.read()
        writer.close()
    request, line = sorted(lines(capsys), key=lambda line: str(line["logger"]))
    assert (request["event"], request["path"], request["status"]) == ("request", "/", 500)
    assert (line["logger"], line["level"]) == ("uvicorn.error", "error")
    assert line["event"] == "Exception in ASGI application"
    assert "ValueError: no good" in line["exception"]


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "debug", "warning", "error"]),
        ("info", ["warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_aiokafka_tries_again_is_no_error(
    level: str, heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level, "json")
    log = logging.getLogger("aiokafka.consumer.group_coordinator")
    log.info("(Re-)joining group %s", "sluice")
    log.warning("Heartbeat failed: local member_id was not recognized")
    log.error("Group Coordinator Request failed: %s", "x")
    try:
        fail()
    except ValueError:
        log.exception("Unexpected error in coordinator routine")
    assert [line["level"] for line in lines(capsys)] == heard


def test_one_line_of_aiokafka_s_source_speaks_once_in_ten_seconds() -> None:
    now = 0.0
    kafka_filter = KafkaFilter("info", clock=lambda: now)

    def passes(line: int, name: str = "aiokafka.client") -> bool:
        record = logging.LogRecord(name, logging.ERROR, "client.py", line, "down", (), None)
        return kafka_filter.filter(record)

    assert [passes(216), passes(216), passes(435)] == [True, False, True]
    assert [passes(216, "sluice.node"), passes(216, "sluice.node")] == [True, True]
    now = 9.9
    assert not passes(216)
    now = 10.0
    assert passes(216)


def test_quiet_libraries_say_nothing_to_a_command_s_user() -> None:
    program = (
        "import logging; from sluice.logs import quiet_libraries; quiet_libraries()\n"
        "for name in ('aiokafka', 'aiokafka.conn', 'asyncio'):\n"
        "    logging.getLogger(name).critical('x')\n"
        "logging.getLogger('sluice').error('the one line')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"the one line\n")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_login_is_not_in_the_log(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """aiokafka's own line at debug: a request as it is sent, SASL's password and all."""
    configure_logging("debug", log_format)
    login = SaslAuthenticateRequest(b"\0alice\0hush").prepare({36: (0, 1)})
    line = "Request to %s:%d %d: %s"
    logging.getLogger("aiokafka.conn").debug(line, "kafka", 9092, 3, login)
    written = capsys.readouterr().err
    assert "hush" in str(login)
    assert "hush" not in written
    assert "Request to kafka:9092 3: SaslAuthenticateRequest" in written


def test_what_kafkas_client_says_waits_for_the_next_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", "json")
    contact = Contact("kafka:9092")
    client = logging.getLogger("aiokafka")
    with hushed_while_away(contact):
        client.error("heard at once: nothing was looked up yet")
        contact.note(True, 0.0)
        client.error("one broker of several")
        try:
            fail()
        except ValueError:
            client.exception("unexpected")
        contact.note(True, 60.0)  # of a call long before
        assert [line["event"] for line in lines(capsys)][1:] == ["unexpected"]
        contact.note(True, 0.0)
        (line,) = lines(capsys)
        assert (line["event"], line["level"]) == ("one broker of several", "warning")
        client.error("as it vanishes")
        contact.note(False, 0.0)
        client.error("while it is away")
        contact.note(False, 0.0)
        contact.note(True, 0.0)
        events = [line["event"] for line in lines(capsys)]
        assert events == ["Kafka does not answer", "Kafka answers again"]
        client.error("the last")
    client.error("heard again")
    assert [line["event"] for line in lines(capsys)] == ["heard again"]
