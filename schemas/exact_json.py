"""JSON with exact integers: by orjson, and by the standard library where orjson isn't exact.

Invariant: no integer changes on its way through, and what ``loads`` accepts can be written again
as UTF-8.
"""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

import orjson

# Turns every digit into "0", so that a long run of digits can be found by searching for a constant:
# a regular expression took longer than all of orjson. False finds in strings only cost time.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
# orjson is exact from -2^63 to 2^64 - 1, which covers the common identifiers of 19 digits.
_NINETEEN_DIGITS = b"0" * 19
_NO_MEMORY = "Not enough memory"  # orjson reports it by its error for invalid input
# Reading or writing an integer takes time quadratic in its digits, and holds the interpreter: 16
# MiB of 4,300-digit integers took 0.34 s to read and 0.9 s to write. This is the sum of squares for
# 1.1 MiB.
_MOST_DIGIT_WORK = 5_000_000_000
_MOST_DIGITS = 4_300  # Python's own limit, in words that don't name a Python setting
_BEYOND_64_BITS = (b"0" * 20, b"-" + b"0" * 19)


def loads(value: bytes, first: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Parse UTF-8 JSON. ``first`` is the number of its first byte, where it is part of a text.

    orjson silently turns 2^64 into 1.8446744073709552e+19, and refuses integers of more than 308
    digits. Only if the text may contain such an integer is it read by the standard library instead,
    which is exact and about four times slower.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deep (1,024 levels are orjson's limit,
            Python's own may be another), holds a number beyond a double's range, or half of a
            surrogate pair. The text says what and, where that is known, at which byte.
        MemoryError: it may be JSON, but doesn't fit into memory.
    """
    try:
        if _is_beyond_64_bits(value):
            return _loads_exactly(value)
        return orjson.loads(value)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        if str(error).startswith(_NO_MEMORY):
            raise MemoryError(str(error)) from None
        raise _located(value, error, first) from None


def dumps(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Compact UTF-8 JSON, integers of any size included; NaN and infinities become null.

    Raises:
        TypeError: it is no JSON value, or nested deeper than orjson's 254 levels.
        ValueError: besides an integer beyond 64 bits it holds a value that JSON lacks.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        if "64-bit" not in str(error):
            raise
        return _dumps_exactly(value)


def _is_beyond_64_bits(value: bytes) -> bool:
    """Whether an integer in it may be. The copy that this takes isn't held while it is parsed."""
    zeros = value.translate(_DIGITS_TO_ZERO)
    return _NINETEEN_DIGITS in zeros and any(run in zeros for run in _BEYOND_64_BITS)


def _located(
    value: bytes, error: json.JSONDecodeError | UnicodeDecodeError, first: int
) -> ValueError:
    """The error with its byte position; orjson counts characters, and nothing in broken UTF-8."""
    try:
        text = value.decode()
    except UnicodeDecodeError as broken:
        wrong = value[broken.start]
        return ValueError(f"byte {first + broken.start} (0x{wrong:02x}) is not UTF-8")
    assert isinstance(error, json.JSONDecodeError), "it is UTF-8"  # noqa: S101 - for the type checker
    return ValueError(f"{error.msg} at byte {first + len(text[: error.pos].encode())}")


def _dumps_exactly(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise TypeError("nested too deep") from None
    return text.encode()


def _loads_exactly(value: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        parsed = json.loads(
            value.decode(),
            parse_float=_finite,
            parse_int=_integers_within_bounds(),
            parse_constant=_refuse,
        )
        if b"\\u" in value:
            json.dumps(parsed, ensure_ascii=False).encode()  # half a surrogate pair can't
    except RecursionError:
        raise ValueError("nested too deep") from None
    return parsed


def _integers_within_bounds() -> Callable[[str], int]:
    left = _MOST_DIGIT_WORK

    def integer(text: str) -> int:
        nonlocal left
        # Reading an integer takes time quadratic in its digits.
        left -= len(text) ** 2
        if left < 0:
            raise ValueError("its integers have too many digits")
        if len(text.removeprefix("-")) > _MOST_DIGITS:
            raise ValueError(f"an integer has more than {_MOST_DIGITS:,} digits")
        return int(text)

    return integer


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.40} is beyond a double's range")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
