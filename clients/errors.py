"""What a client of Kafka can fail at."""


class ClientError(Exception):
    """It can't be read or written; the message is one line that names the thing."""


class KafkaUnreachable(ClientError):  # noqa: N818 - a state, and may pass
    """There is no connection to Kafka."""
