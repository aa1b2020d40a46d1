"""What the embedded broker can fail at."""


class BrokerError(Exception):
    """The embedded Kafka can't be had; the message is one line that says what to do."""
