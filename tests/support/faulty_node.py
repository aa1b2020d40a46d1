"""``sluice serve`` whose decoding of requests is at fault.

``python -m tests.support.faulty_node TEXT``: it breaks on each request that holds the text; empty,
on every one. The function is replaced before the node starts, so the product has no hooks.
"""

import sys

from consumer.exports import request_routing
from schemas.codec import Request, decode_request
from sluice.__main__ import main


def faulty(text: str) -> tuple[str, ...]:
    """The command of such a node, for ``NodeProcess``."""
    return (sys.executable, "-m", "tests.support.faulty_node", text)


def break_on(text: bytes) -> None:
    """Have the decoder raise what nobody foresees, on a value with this text."""

    def decode(value: bytes | None, key: bytes | None = None) -> Request:
        if text in (value or b""):
            raise TypeError("of our own")
        return decode_request(value, key)

    vars(request_routing)["decode_request"] = decode


if __name__ == "__main__":
    break_on(sys.argv.pop().encode())
    sys.argv.append("serve")
    main()
