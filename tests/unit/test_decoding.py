"""What is read beside the group is decoded while the event loop goes on."""

import pytest
from aiokafka import ConsumerRecord

from consumer.backlog.backlog_reader import requested
from consumer.decoding import decoded
from consumer.unpacking import Consumed
from tests.support.cpu import stretches

BRACKETS = b'{"x":[' + b"[]," * 330_000 + b'0],"type":"export.requested","export_id":"a"}'
LONG_NUMBERS = b'{"x":[' + b"9," * 4_000 + b"0]}"


def records(*values: bytes | None) -> list[Consumed]:
    return [
        ConsumerRecord("t", 0, offset, 0, 0, None, value, None, -1, len(value or b""), [])
        for offset, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([BRACKETS] * 6, id="1 MiB of brackets"),
        pytest.param([LONG_NUMBERS] * 1_000, id="8 KB each"),
    ],
)
async def test_others_have_their_turn_between_hostile_requests(values: list[bytes]) -> None:
    async with stretches() as found:
        async for _ in decoded(records(*values), lambda one: requested(one.value, one.key)):
            pass
    assert max(found) < 0.25


async def test_each_comes_in_its_order_and_one_that_is_null_too() -> None:
    values = [b"a", None, b"b" * 100_000, b"c"]
    found = [(one.offset, size) async for one, size in decoded(records(*values), _size)]
    assert found == [(0, 1), (1, 0), (2, 100_000), (3, 1)]


def _size(message: Consumed) -> int:
    return len(message.value or b"")
