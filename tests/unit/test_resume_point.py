"""Where a partition resumes, beside what its logs still have."""

import pytest

from consumer.core.resume import ResumePoint, whole_resume_point


def test_what_was_never_committed_resumes_at_its_logs_start() -> None:
    point = whole_resume_point((None, None), (3, 5))
    assert (point.requests_position, point.records_resume) == (3, 5)


@pytest.mark.parametrize(
    ("log_starts", "name"),
    [((7, 0), "requests"), ((0, 41), "records")],
    ids=["requests", "records"],
)
def test_needed_messages_that_retention_removed_are_an_error(
    log_starts: tuple[int, int], name: str
) -> None:
    point = ResumePoint(9, (6,), 40, 44)
    committed = (point.committed_requests(), point.committed_records())
    assert whole_resume_point(committed, (6, 40)) == point
    with pytest.raises(ValueError, match=f"^{name}: .* retention was shorter"):
        whole_resume_point(committed, log_starts)
