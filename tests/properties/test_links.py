"""No change to a link, however small, leaves it right; and any text is a signature or none."""

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.vocabulary import EXPORT_ID
from sluice.links import LinkKeys, parse_moment

KEYS = st.lists(st.text(min_size=32, max_size=48), min_size=1, max_size=4, unique=True)
IDS = st.from_regex(EXPORT_ID, fullmatch=True)
MOMENTS = st.integers(1, 999_999_999_999)


@given(KEYS, IDS, MOMENTS, st.data())
def test_every_key_verifies_its_links_and_no_others(
    secrets: list[str], export_id: str, expires: int, data: st.DataObject
) -> None:
    *known, foreign = secrets
    assume(known)
    signer = data.draw(st.sampled_from(known))
    signature = LinkKeys([signer]).sign(export_id, expires)
    assert LinkKeys(known).verify(export_id, expires, signature)
    assert not LinkKeys([foreign]).verify(export_id, expires, signature)


@given(IDS, MOMENTS, IDS, MOMENTS)
def test_a_signature_is_for_one_id_and_moment(
    export_id: str, expires: int, other_id: str, other_expires: int
) -> None:
    assume((export_id, expires) != (other_id, other_expires))
    keys = LinkKeys(["k" * 32])
    signature = keys.sign(export_id, expires)
    assert not keys.verify(other_id, other_expires, signature)
    # Digits that move from the one to the other make no other link of the same signature.
    text = f"{export_id}{expires}"
    for place in range(max(1, len(text) - 12), len(text)):
        moved = parse_moment(text[place:])
        if moved and (text[:place], moved) != (export_id, expires):
            assert not keys.verify(text[:place], moved, signature)


@given(IDS, MOMENTS, st.data())
def test_a_changed_signature_is_none(export_id: str, expires: int, data: st.DataObject) -> None:
    keys = LinkKeys(["k" * 32])
    signature = keys.sign(export_id, expires)
    place = data.draw(st.integers(0, len(signature) - 1))
    letter = data.draw(st.characters())
    assume(letter != signature[place])
    for changed in (
        signature[:place],
        signature[:place] + letter + signature[place + 1 :],
        signature[:place] + letter + signature[place:],
        signature + letter,
        signature.upper() if signature.upper() != signature else "",
    ):
        assert not keys.verify(export_id, expires, changed)


@given(st.text())
def test_any_text_may_come_as_a_signature(text: str) -> None:
    keys = LinkKeys(["k" * 32])
    assert keys.verify("a", 1, text) == (text == keys.sign("a", 1))
