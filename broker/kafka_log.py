"""Reads Kafka's log: whether it is up, and why it ended. Pure.

The lines are slf4j-simple's, with the level and no thread: ``TIME LEVEL logger - message``, then
the stack of an exception.
"""

import re

# Kafka's own word that it is up, which its system tests wait for too: the broker is unfenced and
# every listener accepts. Unlike an answer on the port, it can't be another broker's.
STARTED = "Kafka Server started"

LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says STARTED
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)

_ERROR = re.compile(r"^\S+ ERROR \S+ - (?:\[[^]]*\] )?(.*)$", re.MULTILINE)
_NOT_LOGGED = re.compile(r"^(?!\S+ (?:TRACE|DEBUG|INFO|WARN) )(?!WARNING: )\S.*$", re.MULTILINE)
_CAUSE = re.compile(r"^(?:Caused by: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error)\b.*)$", re.MULTILINE)
_PORT_TAKEN = re.compile(r"failed to bind to \S+:(\d+): Address already in use")


def taken_port(log: str) -> int | None:
    """The port that Kafka found taken, if it did."""
    found = _PORT_TAKEN.search(log)
    return int(found[1]) if found else None


def last_error(log: str) -> str:
    """The last error with its deepest cause, in one line; else Java's last line."""
    errors = list(_ERROR.finditer(log))
    if not errors:
        return next(reversed(_NOT_LOGGED.findall(log)), "")
    causes = _CAUSE.findall(log, errors[-1].end())
    return " ".join([errors[-1][1], *(f"({cause})" for cause in causes[-1:])])
