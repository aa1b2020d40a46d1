"""The order of characters is that of another implementation of the algorithm."""

from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.pdf.bidi import levels, visual


@given(st.text(alphabet="ab\u05d0\u05d1\u0639\u0628 12\u0663\u0664()[]<>+-,.%$!?", max_size=40))
def test_characters_are_put_in_the_order_of_another_implementation(text: str) -> None:
    order = visual(levels(text))
    assert "".join(text[place] for place in order) == get_display(text)


@given(st.text(max_size=60))
def test_each_character_has_a_place(text: str) -> None:
    assert sorted(visual(levels(text))) == [*range(len(text))]
