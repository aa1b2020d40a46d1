"""Logging: one output to stderr for the program's own lines and the libraries'.

A line is readable on a terminal and one JSON object otherwise. Its keys are ``timestamp`` (RFC
3339, UTC), ``level``, ``logger`` and ``event``, then what was bound: ``export_id``, ``partition``
and ``offset`` where they concern it. Standard output is for a command's results.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor, WrappedLogger

from schemas.times import format_time

if TYPE_CHECKING:  # the client would be half of a short command's imports
    from clients.contact import Contact

_KAFKA = "aiokafka"
_REPEAT_SECONDS = 10.0
# Records held between two answers of Kafka; further ones are dropped.
_MOST_HELD = 100
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def configure_logging(level: str, log_format: str) -> None:
    """Send every log line to stderr; may be called again to change the format.

    ``level`` is debug, info, warning or error. ``log_format`` is console, json, or auto: console
    on a terminal. Colours are for terminals only.
    """
    terminal = sys.stderr.isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.StackInfoRenderer(),
        _head,
    ]
    formatter = ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            *(_for_people(colours=terminal) if console else _for_machines()),
        ],
    )
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(formatter)
    stderr.addFilter(KafkaFilter(level))
    stderr.addFilter(without_logins)
    logging.basicConfig(level=level.upper(), handlers=[stderr], force=True)
    logging.captureWarnings(capture=True)
    # uvicorn logs its life cycle at info, in words meant for its own command line.
    logging.getLogger("uvicorn").setLevel("DEBUG" if level == "debug" else "WARNING")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def quiet_libraries() -> None:
    """Silence the libraries, for a command whose only output is its own line.

    A failed connection ends such a command with one error that says what to do; that aiokafka
    tried three times and left a task behind helps nobody then.
    """
    for library in (_KAFKA, "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


@contextmanager
def silent_libraries() -> Iterator[None]:
    """As ``quiet_libraries``, for the block: while a node starts, its own line says what failed."""
    loggers = [logging.getLogger(library) for library in (_KAFKA, "asyncio")]
    levels = [logger.level for logger in loggers]
    quiet_libraries()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def hushed_while_away(contact: "Contact") -> Iterator[None]:
    """Within the block, hold aiokafka's records until Kafka next answers a node.

    A node's own line reports that Kafka is unreachable; aiokafka's would be some twenty in 45
    seconds.
    """
    handlers = [
        (handler, one)
        for handler in logging.getLogger().handlers
        for one in handler.filters
        if isinstance(one, KafkaFilter)
    ]

    def note(answers: bool, call_seconds: float) -> None:
        for handler, kafka_filter in handlers:
            for record in kafka_filter.note(answers, call_seconds):
                # Bypass the handler's filters, which would hold the record again.
                with handler.lock or nullcontext():
                    handler.emit(record)

    contact.on_answer = note
    try:
        yield
    finally:
        contact.on_answer = lambda *_: None
        for _, kafka_filter in handlers:
            kafka_filter.hold_no_more()


class KafkaFilter(logging.Filter):
    """Adjusts the levels of aiokafka's records to what they mean for a node.

    aiokafka reports what it handles itself (reconnecting, finding the coordinator, rejoining) as
    info, warning and error alike: a broker down for half a minute caused 5,177 errors for a
    consumer and three producers. So its errors become warnings and the rest debug, and each source
    line logs at most once in ten seconds, which left 17. An error with a traceback was unexpected
    and stays an error. At level debug nothing is suppressed.

    Once a node notes whether Kafka answers, remaining records are held until the next result. If
    there is no answer they are dropped, as the node's own line reports that; if there is one, they
    are logged, as they concern something else, such as one broker of several.
    """

    def __init__(self, level: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._clock = clock
        self._spoke: dict[tuple[str, int], float] = {}  # bounded by the lines of aiokafka's source
        self._answers: bool | None = None
        self._held: list[tuple[float, logging.LogRecord]] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Demote an aiokafka record; returns whether to log it."""
        if record.name.split(".")[0] != _KAFKA:
            return True
        if not record.exc_info:
            record.levelno = logging.WARNING if record.levelno >= logging.ERROR else logging.DEBUG
            record.levelname = logging.getLevelName(record.levelno)
        if self._level == logging.DEBUG or record.levelno < self._level:
            return record.levelno >= self._level
        if self._repeats(record):
            return False
        return record.exc_info is not None or not self._holds(record)

    def note(self, answers: bool, call_seconds: float) -> list[logging.LogRecord]:
        """Note whether a call that began this long ago was answered; returns the records to log."""
        self._answers = answers
        called_at = self._clock() - call_seconds
        released = [record for held_at, record in self._held if answers and held_at < called_at]
        self._held = [one for one in self._held if answers and one[0] >= called_at]
        return released

    def hold_no_more(self) -> None:
        """Stop holding records: answers are no longer noted."""
        self._answers, self._held = None, []

    def _holds(self, record: logging.LogRecord) -> bool:
        if self._answers and len(self._held) < _MOST_HELD:
            self._held.append((self._clock(), record))
        return self._answers is not None

    def _repeats(self, record: logging.LogRecord) -> bool:
        now, line = self._clock(), (record.pathname, record.lineno)
        if now - self._spoke.get(line, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return True
        self._spoke[line] = now
        return False


def without_logins(record: logging.LogRecord) -> bool:
    """Remove SASL bytes from a record: at debug, aiokafka logs every request it sends."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_no_login, record.args))
    return True


def _no_login(argument: object) -> object:
    name = type(argument).__name__
    return f"{name}(…)" if name.startswith("SaslAuthenticate") else argument


def _head(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Put the same four keys first on every line. A held line keeps its original time."""
    record = fields.get("_record")
    made_at = datetime.fromtimestamp(record.created, UTC) if record else datetime.now(UTC)
    return {
        "timestamp": format_time(made_at),
        "level": fields.pop("level"),
        "logger": fields.pop("logger"),
        "event": str(fields.pop("event")).rstrip(),
        **fields,
    }


def _for_people(*, colours: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colours,
        # The default would show local variables, and with them passwords and rows.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_harmless, renderer]


def _harmless(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Escape control characters, which may come from a message, for the terminal."""
    return {
        key: value.translate(_CONTROLS) if isinstance(value, str) and key != "stack" else value
        for key, value in fields.items()
    }


def _for_machines() -> list[Processor]:
    # A traceback becomes the field "exception"; every record stays one line.
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
