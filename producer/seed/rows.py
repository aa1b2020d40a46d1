"""Rows that look like orders: names in five scripts, exact amounts, awkward notes. Pure.

Invariant: rows depend on the seed text alone, and cost about a microsecond each: every field is
picked from a pool by a few bits of one random number.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from producer.seed.word_pools import (
    AWKWARD_NOTES,
    CITIES,
    FAMILY_NAMES,
    GIVEN_NAMES,
    PLAIN_NOTES,
    PRODUCTS,
)
from schemas.records import Cell, Row

COLUMNS = (
    {"key": "id", "header": "Order", "width": 48},
    {"key": "ordered_at", "header": "Ordered at", "width": 104},
    {"key": "customer", "header": "Customer", "width": 120},
    {"key": "city", "header": "City", "width": 78},
    {"key": "product", "header": "Product", "width": 96},
    {"key": "quantity", "header": "Qty", "width": 30},
    {"key": "unit_price", "header": "Unit price", "width": 52},
    {"key": "amount", "header": "Amount (EUR)", "width": 66},
    {"key": "discount", "header": "Discount", "width": 46},
    {"key": "paid", "header": "Paid", "width": 34},
    {"key": "note", "header": "Note", "width": 96},
)
"""Columns of the request; widths in points fit A4 landscape."""
TYPES = {"ordered_at": "timestamp", "unit_price": "decimal", "amount": "decimal"}
"""What strings of theirs stand for, by column key."""

_DISCOUNTS = (None, None, None, None, 0, 0.05, 0.1, 0.125)
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def order_rows(seed: str, count: int) -> Iterator[Row]:
    """``count`` rows of cells in the order of ``COLUMNS``; ids count from 1."""
    random = Random(seed)  # noqa: S311 - it makes up orders, not secrets
    customers = _shuffled(random, [f"{a} {b}" for a in GIVEN_NAMES for b in FAMILY_NAMES])
    moments = _shuffled(random, [_moment(day) for day in range(1_024)])
    prices = [random.randrange(49, 1_000_00) for _ in range(1_024)]
    notes = _notes(random)
    price_texts = [_euros(cents) for cents in prices]
    bits_of = random.getrandbits
    for number in range(1, count + 1):
        # One draw a row: each field takes its bits of it.
        bits = bits_of(55)
        price = bits & 1023
        quantity = 1 + (bits >> 10 & 15)
        cents = prices[price] * quantity
        yield [
            number,
            moments[bits >> 14 & 1023],
            customers[bits >> 24 & 1023],
            CITIES[bits >> 34 & 15],
            PRODUCTS[bits >> 38 & 7],
            quantity,
            price_texts[price],
            _euros(cents),
            _DISCOUNTS[bits >> 41 & 7],
            bits >> 44 & 7 != 0,
            notes[bits >> 47],
        ]


def _shuffled(random: Random, pool: list[str]) -> list[str]:
    random.shuffle(pool)
    return pool


def _moment(day: int) -> str:
    moment = _FIRST_DAY + timedelta(days=day, seconds=day * 7_919 % 86_400)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _notes(random: Random) -> list[Cell]:
    """256 notes: three in four null, the rest half plain and half awkward; an emoji is rare."""
    pool: list[Cell] = [None] * 192
    pool += [random.choice(PLAIN_NOTES) for _ in range(32)]
    pool += [AWKWARD_NOTES[index % len(AWKWARD_NOTES)] for index in range(32)]
    random.shuffle(pool)
    return pool


def _euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
