"""Texts that are a JSON value and texts that aren't, after the cases of JSONTestSuite.

https://github.com/nst/JSONTestSuite: what a parser must take (``y_``), must refuse (``n_``), and
may do either with (``i_``). The second list is what our contract refuses, or the encoders in Rust
leave to Python.
"""

CELLS_TAKEN: tuple[bytes, ...] = (
    b"0", b"-0", b"-1", b"-12", b"1", b"123", b"12345678901234567890", b"-9223372036854775809",
    b"123123123123123123123123123123", b"9" * 4300, b"-" + b"9" * 4300,
    b"0.0", b"-0.0", b"-0.00", b"0.5", b"1.50", b"0.0001", b"0.00001", b"123.456789", b"1.000000",
    b"-0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    b"1E22", b"1E-2", b"1E+2", b"0e1", b"0e+1", b"-0e1", b"123e45", b"1e-400", b"1.5e308", b"20e1",
    b"1e16", b"9999999999999998.0", b"123456789012345.6", b"1234567890123456.7", b"0.1e1",
    b"true", b"false", b"null", b" null ", b"\t1\r\n",
    b'""', b'"a"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\u0000"', b'"\\u0012"', b'"\\uD801\\udc37"',
    b'"\\ud83d\\ude39\\ud83d\\udc8d"', b'"\\uDBFF\\uDFFF"', b'"\\uFFFF"', b'"\\u200B"',
    b'"\\u2028"', b'"\\uFDD0"', b'"\\uaAbB"', b'"\xe2\x82\xac"', b'"\xf4\x8f\xbf\xbf"', b'"\x7f"',
    b'"/* */"',
    b'"new\\u000Aline"', b'"\\\\u0000"', b'"\\\\a"', b'"\xe2\x80\xa8"', b'"=1+1"', b'"ID"',
    b"[]", b"[1,\"a\",null,true]", b"[ 1 , 2 ]", b"[[[]]]", b'{"":0}', b'{"a":[],"b":{}}', b"{}",
    b'{"a\\u0000b":"\\u001f"}', b'{"a" : 1.50 , "b": 1e5}', b"[" * 60 + b"]" * 60,
)  # fmt: skip

CELLS_REFUSED: tuple[bytes, ...] = (
    b"", b"-", b"+1", b"++1", b"-01", b"01", b"-2.", b"1.", b".1", b".-1", b"0.e1", b"0.3e", b"0e",
    b"0e+", b"1.0e+", b"1e", b"1eE2", b"9.e+", b"1 000", b"1e1.5", b"0x1", b"0x42", b"1_0", b"1a",
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"Inf", b"1e400", b"-1e999", b"\xef\xbc\x91",
    b"9" * 4301, b"tru", b"True", b"nul", b"nulll", b"fals", b"truth", b"a",
    b'"', b'"a', b"'a'", b'"\n"', b'"\t"', b'"\x00"', b'"\x1f"', b'"\\a"', b'"\\x00"', b'"\\\n"',
    b'"\\', b'"\\\\\\"', b'"\\u"', b'"\\u00A"', b'"\\uqqqq"', b'"\\u+123"', b'"\\u 123"',
    b'"\\uD800"', b'"\\uD800\\"', b'"\\uD800\\u"', b'"\\uD800\\u1"', b'"\\uD800\\u1x"',
    b'"\\udc00"', b'"\\uD800\\n"', b'"\\uD834\\uDd"', b'"\\uDd1e\\uD834"', b'"\\uD800\\uD800"',
    b'"\\U0041"', b'"\xff"', b'"\xe5"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf8\x88\x80\x80\x80"',
    b'"\xe0\xff"', b'"\xf4\xbf\xbf\xbf"', b'"\xfc\x83\xbf\xbf\xbf\xbf"', b"\xff", b"\xef\xbb\xbf1",
    b"\x0c1",
    b"\xc2\xa01", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[1}", b"]", b"[1]]",
    b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{"a" 1}', b"{a:1}", b"{1:1}",
    b'{"a"::1}', b'{,"a":1}', b'{"a":1 "b":2}', b'{"a":1,,"b":2}', b"{'a':1}", b'{"a":1]', b"{[1]}",
    b'{"\xff":1}', b'{"\\ud800":1}', b"1;", b"1//", b"1/**/", b"/**/1", b"#1", b"1\x00", b"\x001",
    b'{"a":1,"a":2}', b"[" * 70 + b"]" * 70,
)  # fmt: skip
