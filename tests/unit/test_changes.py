"""The changes that clients share: what each may see, in what order, and what a slow one loses."""

import json
from typing import Any

from sluice.access.askers import ANYONE, Asker
from sluice.http.changes import ChangeLog, ExportPlace
from tests.support.listing import ended_export

NOON = 1_795_255_200_000
ALICE, BOB = Asker("alice"), Asker("bob")


def all_since(log: ChangeLog, place: ExportPlace, asker: Asker = ANYONE) -> list[dict[str, Any]]:
    """The messages, with the number in their id."""
    found: list[dict[str, Any]] = []
    while True:
        piece, place = log.since(place, asker)
        if not piece:
            return found
        for message in piece.decode().strip().split("\n\n"):
            shown, data = message.split("\n")
            number = int(shown.rpartition("-")[2])
            found.append({**json.loads(data.removeprefix("data: ")), "number": number})


def running(export_id: str, rows: int, user: str = "alice") -> Any:
    return ended_export(export_id, NOON, state="running", rows=rows, user=user)


def test_a_client_goes_on_where_it_was() -> None:
    log = ChangeLog()
    begin = log.end
    log.put_state(running("e", 0), NOON)
    between = log.end
    log.put_state(ended_export("e", NOON), NOON)
    assert [one["state"] for one in all_since(log, begin)] == ["running", "completed"]
    assert [one["state"] for one in all_since(log, between)] == ["completed"]
    assert all_since(log, ExportPlace.decode(between.encode()))[0]["type"] == "state"
    assert all_since(log, log.end) == []


def test_of_progress_the_latest_is_kept_and_none_after_the_end() -> None:
    log = ChangeLog()
    begin = log.end
    for rows in (1, 2, 3):
        log.put_progress(running("e", rows), NOON)
        log.put_progress(running("f", rows), NOON)
    log.put_state(ended_export("f", NOON), NOON)
    shown = [(one["export_id"], one["type"], one["rows"]) for one in all_since(log, begin)]
    assert shown == [("e", "progress", 3), ("f", "state", 10)]


def test_a_user_gets_their_own() -> None:
    log = ChangeLog()
    begin = log.end
    log.put_state(running("hers", 1), NOON)
    log.put_progress(running("his", 1, user="bob"), NOON)
    assert [one["export_id"] for one in all_since(log, begin, ALICE)] == ["hers"]
    assert [one["export_id"] for one in all_since(log, begin, BOB)] == ["his"]
    assert [one["export_id"] for one in all_since(log, begin)] == ["hers", "his"]


def test_a_client_that_is_too_far_behind_is_sent_to_the_list() -> None:
    log = ChangeLog(most_states=10)
    begin = log.end
    for number in range(30):
        log.put_state(ended_export(f"e-{number}", NOON), NOON)
        if number == 5:
            early = log.end
    for place in (
        begin,
        early,
        ExportPlace("0" * 16, 1),
        ExportPlace.decode("nonsense"),
        ExportPlace.decode(""),
    ):
        (message,) = all_since(log, place)
        assert message["type"] == "reload"
    ahead = ExportPlace(log.end.log, log.end.number + 1)
    assert [one["type"] for one in all_since(log, ahead)] == ["reload"]


def test_no_end_is_lost_or_out_of_order_however_small_the_pieces() -> None:
    log = ChangeLog()
    begin = log.end
    for number in range(2_000):
        log.put_state(ended_export(f"e-{number}", NOON), NOON)
        log.put_progress(running(f"open-{number % 50}", number), NOON)
    found = all_since(log, begin)
    ends = [one["export_id"] for one in found if one["type"] == "state"]
    assert ends == [f"e-{number}" for number in range(2_000)]
    numbers = [one["number"] for one in found]
    assert numbers == sorted(set(numbers))
