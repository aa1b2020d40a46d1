import json
from typing import Any

import pytest

from schemas.errors import Invalid, Unreadable
from schemas.records import Batch, decode_batch, encode_batch
from schemas.vocabulary import DeadLetterReason
from tests.support.samples import BATCH, LEFT_OUT, RIGHT_BATCHES, WRONG_BATCHES, changed


def test_the_contracts_example_is_read_whole() -> None:
    assert decode_batch(json.dumps(BATCH).encode()) == Batch(
        export_id="ord-2026-11",
        seq=0,
        rows=[[1, "12.50"], {"id": 2, "amount": "9.99"}],
        last=False,
        total_rows=None,
    )


@pytest.mark.parametrize("sample", RIGHT_BATCHES)
def test_a_right_batch_comes_back_from_its_bytes(sample: dict[str, Any]) -> None:
    batch = decode_batch(json.dumps(sample).encode())
    assert decode_batch(encode_batch(batch)) == batch


@pytest.mark.parametrize(("sample", "wrong"), WRONG_BATCHES)
def test_every_wrong_field_is_named_and_no_other(sample: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(Invalid) as caught:
        decode_batch(json.dumps(sample).encode())
    assert {error.field for error in caught.value.errors} == wrong
    assert len(caught.value.errors) == len(wrong)
    assert caught.value.export_id == "ord-2026-11"
    assert all(name in str(caught.value) for name in wrong)


def test_unknown_fields_are_named_in_the_order_they_were_sent() -> None:
    names = [f"field{number}" for number in range(15)]
    with pytest.raises(Invalid) as caught:
        decode_batch(json.dumps({**BATCH, **dict.fromkeys(names)}).encode())
    assert [error.field for error in caught.value.errors] == names


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, DeadLetterReason.NULL_VALUE),
        (b"", DeadLetterReason.UNREADABLE),
        (b"null", DeadLetterReason.UNREADABLE),
        (b"[[1, 2]]", DeadLetterReason.UNREADABLE),
        (b'{"export_id": "a", "seq": 0, "rows": [[NaN]]}', DeadLetterReason.UNREADABLE),
        (b'{"export_id": "a", "seq": 0, "rows": [["\\udc00"]]}', DeadLetterReason.UNREADABLE),
        (b"{}", DeadLetterReason.INVALID_ID),
        (json.dumps(changed(BATCH, export_id=LEFT_OUT)).encode(), DeadLetterReason.INVALID_ID),
        (json.dumps(changed(BATCH, export_id="a/b")).encode(), DeadLetterReason.INVALID_ID),
        (json.dumps(changed(BATCH, export_id=5)).encode(), DeadLetterReason.INVALID_ID),
        (b'{"export_id": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", DeadLetterReason.INVALID_ID),
    ],
)
def test_what_no_export_can_be_named_for_is_a_dead_letter(
    value: bytes | None, reason: DeadLetterReason
) -> None:
    with pytest.raises(Unreadable) as caught:
        decode_batch(value)
    assert caught.value.reason is reason


def test_integers_keep_their_digits_both_ways() -> None:
    row = [2**64, -(2**64), 10**400, 12345678901234567890123, 2**64 - 1, -(2**63)]
    value = encode_batch(Batch("a", 0, [row, {"n": 10**30}]))
    assert str(10**400).encode() in value
    assert decode_batch(value).rows == [row, {"n": 10**30}]
    assert [type(cell) for cell in decode_batch(value).rows[0]] == [int] * 6


def test_a_cell_that_is_no_json_is_not_encoded() -> None:
    with pytest.raises(TypeError):
        encode_batch(Batch("a", 0, [[object()]]))
    with pytest.raises(TypeError):
        encode_batch(Batch("a", 0, [[{1: "a key that is no string"}]]))
    with pytest.raises(TypeError):
        encode_batch(Batch("a", 0, [["\ud800"]]))


def test_a_large_batch_of_too_many_members_is_invalid_where_its_id_was_read() -> None:
    crowd = {f"{n}": "x" * 600 for n in range(2_000)}
    with pytest.raises(Invalid, match="more than 1,000 members") as caught:
        decode_batch(json.dumps({"export_id": "a", "seq": 0, "rows": [], **crowd}).encode())
    assert caught.value.export_id == "a"
    with pytest.raises(Unreadable, match="more than 1,000 members"):
        decode_batch(json.dumps({**crowd, "export_id": "a", "seq": 0, "rows": []}).encode())
