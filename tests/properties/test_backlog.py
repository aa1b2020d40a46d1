"""The backlog against what is true: whatever is read when, whatever is committed when."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.backlog.backlog_reader import requested
from consumer.core.backlog import PartitionBacklog, Requested
from consumer.core.resume import ResumePoint
from schemas import exact_json
from schemas.vocabulary import Format
from tests.support.strategies import cells


@dataclass
class Owner:
    """The partition's owner: takes requests in order, ends any of them in any order."""

    position: int = 0
    open: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)

    def point(self) -> ResumePoint:
        firsts = tuple((offset, 7) for offset in sorted(self.begun & self.open))
        return ResumePoint(self.position, tuple(sorted(self.open)), 7, 9, firsts)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "take", "skip"]), st.integers(1, 4)),
        st.tuples(st.sampled_from(["end", "begin", "commit"]), st.integers(0, 30)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(STEPS)
def test_it_holds_what_is_unfinished_by_the_latest_commit(steps: list[tuple[str, int]]) -> None:
    owner, read = Owner(), 0
    backlog, committed = PartitionBacklog("t", 0, owner.point()), owner.point()
    for step, number in steps:
        match step:
            case "read":
                for offset in range(read, read + number):
                    backlog.put(offset, _request(offset))
                read += number
            case "take" | "skip":  # a marker, a repeat or an invalid one is never open
                taken = range(owner.position, owner.position + number)
                owner.position += number
                owner.open |= set(taken) if step == "take" else set()
            case "end" if owner.open:
                owner.open.remove(sorted(owner.open)[number % len(owner.open)])
            case "begin" if owner.open:
                owner.begun.add(sorted(owner.open)[number % len(owner.open)])
            case "commit":
                committed = owner.point()
                assert backlog.commit(committed)
        _holds(backlog, committed, read)
    again = PartitionBacklog("t", 0, committed)
    for offset in range(again.start, read):
        again.put(offset, _request(offset))
    _holds(again, committed, read)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12))), st.integers(0, 12))
def test_an_id_is_held_once_and_no_other_than_was_given(
    commits: list[tuple[int, int]], read: int
) -> None:
    """With ids that come again and again, and any commits, those that go back too."""
    point = ResumePoint(0, (), 0, 0)
    backlog = PartitionBacklog("t", 0, point)
    for offset in range(read):
        backlog.put(offset, Requested(f"e{offset % 3}", "u", Format.CSV))
    for first_open, position in commits:
        wanted = ResumePoint(position, tuple(range(min(first_open, position), position, 4)), 0, 0)
        if backlog.commit(wanted):
            point = wanted
        found = [one for n in range(3) if (one := backlog.find(f"e{n}"))]
        assert len(found) == len(backlog)
        for one in found:
            offset = one.source.offset
            assert one.export_id == f"e{offset % 3}"
            assert offset >= point.requests_position or offset in point.open_requests


@given(st.binary() | st.none())
def test_no_message_breaks_it(value: bytes | None) -> None:
    assert requested(value) is None


@given(cells, cells, cells)
def test_no_field_breaks_it(export_id: object, user: object, file_format: object) -> None:
    fields = {"export_id": export_id, "user": user, "format": file_format}
    found = requested(exact_json.dumps({"type": "export.requested", **fields}))
    assert found is None or found.export_id == export_id


def _holds(backlog: PartitionBacklog, committed: ResumePoint, read: int) -> None:
    position, still_open = committed.requests_position, committed.open_requests
    unfinished = [n for n in range(read) if n >= position or n in still_open]
    assert len(backlog) == len(unfinished)
    for offset in unfinished:
        found = backlog.find(f"e{offset}")
        assert found
        assert found.source.offset == offset
        assert found.begun == (offset in committed.begun_requests)


def _request(offset: int) -> Requested:
    return Requested(f"e{offset}", "u", Format.CSV)
