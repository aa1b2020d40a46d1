"""What a dead letter carries, and what becomes of one that is too large to forward."""

import random
from dataclasses import dataclass

import pytest

from consumer.exports.messages import DeadLetter
from consumer.lanes.transactions import dead_letter_record
from schemas.unread_value import too_large
from schemas.vocabulary import DeadLetterReason

LIMIT = 10_000


@dataclass(frozen=True)
class Sent:
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "export.records"
    partition: int = 3
    offset: int = 42
    timestamp: int = 0


NOISE = random.Random(1).randbytes(LIMIT * 2)
WHERE = [
    ("sluice_reason", b"unreadable"),
    ("sluice_topic", b"export.records"),
    ("sluice_partition", b"3"),
    ("sluice_offset", b"42"),
]


def record(sent: Sent) -> dict[str, object]:
    return dead_letter_record(DeadLetter(DeadLetterReason.UNREADABLE, sent), LIMIT)


@pytest.mark.parametrize("value", [b"{", b"", None, NOISE[:5_000]])
def test_it_is_forwarded_untouched(value: bytes | None) -> None:
    sent = Sent(b"key", value, (("trace", b"1"), ("sluice_reason", b"forged")))
    assert record(sent) == {"key": b"key", "value": value, "headers": [("trace", b"1"), *WHERE]}


@pytest.mark.parametrize("value", [NOISE, b"x" * LIMIT])
def test_a_value_that_does_not_fit_is_left_out(value: bytes) -> None:
    truncated = [*WHERE, ("sluice_truncated", b"true")]
    assert record(Sent(b"key", value)) == {"key": b"key", "value": b"", "headers": truncated}


@pytest.mark.parametrize(
    "headers",
    [
        (("big", NOISE),),
        ((NOISE.hex(), b""),),
        tuple((str(n), b"") for n in range(2_000)),
    ],
)
def test_headers_count_too(headers: tuple[tuple[str, bytes], ...]) -> None:
    forwarded = record(Sent(b"key", b"{", headers))
    assert ("sluice_truncated", b"true") in forwarded["headers"]  # type: ignore[operator]


def test_a_value_that_is_not_held_is_left_out() -> None:
    truncated = [*WHERE, ("sluice_truncated", b"true")]
    sent = Sent(b"key", too_large(60_000_000, 1), (("trace", b"1"),))
    assert record(sent) == {"key": b"key", "value": b"", "headers": truncated}


def test_however_much_the_topic_takes_it_has_two_mib_at_most() -> None:
    for size, forwarded in ((2_000_000, True), (2_100_000, False)):
        sent = DeadLetter(DeadLetterReason.UNREADABLE, Sent(b"key", b"x" * size))
        assert bool(dead_letter_record(sent, 20_000_000)["value"]) == forwarded


def test_a_key_that_does_not_fit_is_cut() -> None:
    forwarded = record(Sent(NOISE, b"{"))
    assert forwarded["key"] == NOISE[:1024]
