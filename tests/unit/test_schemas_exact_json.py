import re
import subprocess
import sys

import pytest

from schemas import exact_json

LONG = b"12345678901234567890123"


@pytest.mark.parametrize("digits", [18, 19, 20, 21, 308, 309, 400, 4_300])
@pytest.mark.parametrize(
    "template", ["%s", "[%s]", "[1, %s]", '{"a":%s}', '{"a": \n%s }', "[\t-%s]"]
)
def test_integers_of_any_length_keep_their_digits(digits: int, template: str) -> None:
    integer = "9" * digits
    parsed = exact_json.loads((template % integer).encode())
    assert integer in repr(parsed)


@pytest.mark.parametrize(
    "edge", [2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63), -(2**63) - 1, 10**18]
)
def test_integers_at_the_edges_of_64_bits_keep_their_value(edge: int) -> None:
    parsed = exact_json.loads(b"[%d]" % edge)
    assert parsed == [edge]
    assert type(parsed[0]) is int


def test_digits_within_strings_and_fractions_are_left_alone() -> None:
    value = (
        b'["a,12345678901234567890123", 0.1234567890123456789012, 1234567890123456789012.5, 1E30]'
    )
    assert exact_json.loads(value) == [
        "a,12345678901234567890123",
        0.1234567890123456789012,
        1234567890123456789012.5,
        1e30,
    ]


@pytest.mark.parametrize("beside", [b"1", LONG], ids=["orjson", "exact"])
@pytest.mark.parametrize(
    "wrong",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"1" * 400 + b".5",
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\ude00\\ud83d"',
        b'{"\\ud800": 1}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\n"',
        b'"\\x41"',
        b"'a'",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x1",
        b"1_000",
        b"True",
        b"[1,]",
        b"{a: 1}",
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 100_000,
        b"\xc2\xa01",
    ],
)
def test_what_is_not_json_is_refused_on_either_way(wrong: bytes, beside: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        exact_json.loads(b"[" + beside + b", " + wrong + b"]")


@pytest.mark.parametrize("value", [b"", b" ", b"1 2", b"[1", b"\xef\xbb\xbf[]", b"\x00"])
def test_what_is_no_single_value_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        exact_json.loads(value)


@pytest.mark.parametrize("beside", [b"1", LONG])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[{}, "ä", x]'.encode(), "at byte {at}"),
        (b'["\xc3\xa4", {}, "\xe9t\xe9"]', "byte {at} (0xe9) is not UTF-8"),
    ],
)
def test_what_is_wrong_is_found_by_its_byte(text: bytes, place: str, beside: bytes) -> None:
    value = text.replace(b"{}", beside)
    at = value.index(b"x]") if b"x]" in value else value.index(b"\xe9")
    with pytest.raises(ValueError, match=re.escape(place.format(at=at)) + "$"):
        exact_json.loads(value)


def test_an_integer_of_more_digits_than_python_reads_is_refused() -> None:
    assert exact_json.loads(b"[-%b]" % (b"1" * 4_300)) == [-int("1" * 4_300)]
    for sign in (b"", b"-"):
        with pytest.raises(ValueError, match=r"^an integer has more than 4,300 digits$"):
            exact_json.loads(b"[%b%b]" % (sign, b"1" * 4_301))


def test_integers_that_take_long_all_together_are_refused() -> None:
    integers = [b"1" * 4_300] * 3_900
    with pytest.raises(ValueError, match="too many digits"):
        exact_json.loads(b"[%b]" % b",".join(integers))
    parsed = exact_json.loads(b"[%b]" % b",".join(integers[:250]))
    assert parsed == [int("1" * 4_300)] * 250
    assert exact_json.loads(b"[%b]" % b",".join([LONG] * 100_000)) == [int(LONG)] * 100_000


def test_a_pair_of_surrogates_is_one_character_on_either_way() -> None:
    assert exact_json.loads(b'["\\ud83d\\ude00"]') == ["\N{GRINNING FACE}"]
    assert exact_json.loads(b'["\\ud83d\\ude00", ' + LONG + b"]")[0] == "\N{GRINNING FACE}"


def test_it_is_written_compact_and_in_utf8_on_either_way() -> None:
    assert exact_json.dumps({"é": [1, None]}) == '{"é":[1,null]}'.encode()
    assert exact_json.dumps({"é": [10**30, None]}) == ('{"é":[1' + "0" * 30 + ",null]}").encode()


def test_what_json_has_no_words_for_is_not_written() -> None:
    with pytest.raises(TypeError):
        exact_json.dumps([10**30, object()])
    with pytest.raises(ValueError, match=r"\w"):
        exact_json.dumps([10**30, float("nan")])
    deep: list[object] = [10**30]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError):
        exact_json.dumps(deep)


_WITHOUT_MEMORY = """
import resource
from pathlib import Path
from schemas import exact_json

value = b'[["%b"], 1]' % (b"x" * 8_000_000)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 50 * 2**20,) * 2)
try:
    exact_json.loads(value)
except (MemoryError, ValueError) as error:
    print(type(error).__name__)
"""


def test_no_memory_is_not_a_fault_of_the_input() -> None:
    """orjson needs twelve times the text for a while, and reports no memory as wrong JSON."""
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_MEMORY], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "MemoryError\n"
