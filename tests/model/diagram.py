"""The diagram of a lane's states in docs/architecture.md, drawn from the table; run, it writes it.

Invariant: it shows each state and each transition, and nothing else. Faults, which are alike in
all states of an owned partition, are an arrow each.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from consumer.core.lane_machine import FAULTS, LANE, OWNED, Event, LaneMachine, State

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
_FENCE, _END = "```mermaid\n", "```\n"


def diagram() -> str:
    """For Mermaid: what each state does, and what may follow."""
    lines = ["stateDiagram-v2", *(f"    {it.name}: {it.name}<br>{it.value}" for it in State)]
    lines += [f"    [*] --> {LaneMachine().state.name}", "    state owned {"]
    for state, row in OWNED.items():
        lines += [f"    {arrow}" for arrow in _arrows(state.name, row)]
    lines += ["    }", *_arrows("owned", FAULTS)]
    for state, row in LANE.items():
        if state not in OWNED:
            lines += _arrows(state.name, row)
    return "\n".join([*lines, ""])


def _arrows(name: str, row: Mapping[Event, State]) -> Iterator[str]:
    for event, state in row.items():
        yield f"    {name} --> {state.name}: {event.name}"


def drawn(page: str) -> str:
    """The diagram that a page shows."""
    return page.partition(_FENCE)[2].partition(_END)[0]


def main() -> None:
    """Write it."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(page.replace(drawn(page), diagram()), encoding="utf-8")


if __name__ == "__main__":
    main()
