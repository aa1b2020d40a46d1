"""Metrics as text, in the Prometheus or the OpenMetrics format by content negotiation."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"


def expose(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The current metrics and their content type, in the format that ``accept`` prefers."""
    weights = _weights(accept)
    strict = weights.get(_OPENMETRICS, 0.0)
    prefers_openmetrics = strict > 0 and strict >= weights.get(_TEXT, 0.0)
    # The library's own choice ignores weights, and fails on a version that is not a number.
    encode, content_type = choose_encoder(
        f"{_OPENMETRICS}; version=1.0.0" if prefers_openmetrics else f"{_TEXT}; version=0.0.4"
    )
    return encode(registry), content_type


def _weights(accept: str) -> dict[str, float]:
    """The highest ``q`` of each media type, in versions that we can write (RFC 9110, 12.5.1)."""
    weights: dict[str, float] = {}
    for accepted in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in accepted.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type == _OPENMETRICS and given.get("version", "1.0.0") != "1.0.0":
            continue
        weights[media_type] = max(weights.get(media_type, 0.0), _weight(given.get("q", "1")))
    return weights


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
