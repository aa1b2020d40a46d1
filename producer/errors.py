"""What upstream's side can fail at, beside what a client of Kafka can."""

from clients.errors import ClientError


class ProducerError(ClientError):
    """It can't be published or replayed; the message is one line that names the thing."""
