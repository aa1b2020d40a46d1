"""Errors of publishing and replaying, besides those of Kafka clients."""

from clients.errors import ClientError


class ProducerError(ClientError):
    """Publishing or replaying failed; the message is one line that names what failed."""
