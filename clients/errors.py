"""Errors of Kafka clients."""


class ClientError(Exception):
    """A read or write failed; the message is one line that names the topic, place or setting."""


class KafkaUnreachable(ClientError):  # noqa: N818 - a state, and may pass
    """There is no connection to Kafka."""
