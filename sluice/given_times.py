"""Times in a command's options, as Kafka timestamps."""

from sluice.errors import UsageError
from sluice.letters import parse_millis


def millis_given(option: str, text: str) -> int:
    """An option's time in milliseconds since the epoch, at least 0.

    Raises:
        UsageError: it is no time; the message names the option.
    """
    try:
        return max(0, parse_millis(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def period_given(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The times of ``--from`` and ``--to``; None for an omitted option.

    Raises:
        UsageError: one is no time, or the second is not later.
    """
    since_ms = None if since is None else millis_given("--from", since)
    until_ms = None if until is None else millis_given("--to", until)
    if since_ms is not None and until_ms is not None and until_ms <= since_ms:
        raise UsageError("--to: must be later than --from")
    return since_ms, until_ms
