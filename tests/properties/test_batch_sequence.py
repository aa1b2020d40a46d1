"""Whatever is repeated, an assembly takes each batch once and in order."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.batch_sequence import BatchSequence
from consumer.errors import ExportFailure
from schemas.records import Batch


@given(st.lists(st.integers(0, 12), max_size=60))
def test_any_sequence_of_seqs_gives_a_prefix_in_order(seqs: list[int]) -> None:
    assembly = BatchSequence(["a"])
    taken: list[int] = []
    for seq in seqs:
        batch = Batch("e", seq, [[seq], [seq]])
        try:
            is_next = assembly.accept(batch)
        except ExportFailure:
            assert seq > len(taken), "only a gap fails"
            break
        if not is_next:
            assert seq < len(taken), "only a repeat is dropped"
        else:
            assembly.apply(batch)
            taken.append(seq)
    assert taken == list(range(len(taken)))
    assert assembly.rows == 2 * len(taken)
