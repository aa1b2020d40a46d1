"""What upstream's side can fail at."""


class ClientError(Exception):
    """It can't be published or followed; the message is one line that names the thing."""


class KafkaUnreachable(ClientError):  # noqa: N818 - a state, and may pass
    """There is no connection to Kafka."""
