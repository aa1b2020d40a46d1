import pytest

from schemas.topics import Topics
from schemas.vocabulary import is_export_id


@pytest.mark.parametrize("text", ["a", "7", "Z", "ord-2026-11", "a.b_c-D", "a" * 128, "a..b", "9-"])
def test_what_is_an_id(text: str) -> None:
    assert is_export_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "-a",
        "_a",
        ".hidden",
        "a" * 129,
        "a/b",
        "../a",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "é",
        "٣",
        "a:b",
        "a%2f",
        None,
        7,
        b"a",
        ["a"],
    ],
)
def test_what_is_no_id(text: object) -> None:
    assert not is_export_id(text)


def test_topics_are_named_by_their_prefixes() -> None:
    assert Topics.named() == Topics(
        requests="export.requests",
        records="export.records",
        completions="export.completions",
        dead_letters="export.dead-letters",
    )
    assert Topics.named("in", "out") == Topics(
        requests="in.requests",
        records="in.records",
        completions="out.completions",
        dead_letters="out.dead-letters",
    )
