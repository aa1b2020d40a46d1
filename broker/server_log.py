"""Reads a server's log: why it ended. Pure.

The lines have the form of slf4j-simple, with the level and no thread, which S3Proxy's are given as
well: ``TIME LEVEL logger - message``, then the stack of an exception.
"""

import re

_ERROR = re.compile(r"^\S+ ERROR \S+ - (?:\[[^]]*\] )?(.*)$", re.MULTILINE)
_NOT_LOGGED = re.compile(r"^(?!\S+ (?:TRACE|DEBUG|INFO|WARN) )(?!WARNING: )\S.*$", re.MULTILINE)
_CAUSE = re.compile(r"^(?:Caused by: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error)\b.*)$", re.MULTILINE)
# Kafka's words, and Jetty's, which S3Proxy listens by.
_PORT_TAKEN = re.compile(
    r"[Ff]ailed to bind to \S+:(\d+)(?:: Address already in use|$)", re.MULTILINE
)


def taken_port(log: str) -> int | None:
    """The port that the server found taken, if it did."""
    found = _PORT_TAKEN.search(log)
    return int(found[1]) if found else None


def last_error(log: str) -> str:
    """The last error with its deepest cause, in one line; else Java's last line."""
    errors = list(_ERROR.finditer(log))
    if not errors:
        return next(reversed(_NOT_LOGGED.findall(log)), "")
    causes = _CAUSE.findall(log, errors[-1].end())
    return " ".join([errors[-1][1], *(f"({cause})" for cause in causes[-1:])])
