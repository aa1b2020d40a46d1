"""A JSON Schema validator of just the keywords that our schema files use; any other is an error.

Written from the specification (2020-12, and draft 7 for AsyncAPI), independent of pydantic, so that
the files and the models can be compared.
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Holds: TypeAlias = Callable[[Any, Schema], bool]
Keyword: TypeAlias = Callable[[Any, Any, Schema, Holds], bool]
"""Of a value, the keyword's argument, the schema it stands in, and how to judge by another."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_type(value: object, kinds: str | list[str]) -> bool:
    return any(_TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds))


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == value // 1,
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_SAYS_NOTHING = {"$schema", "$defs", "title", "description", "default", "format", "then"}
_OF_ANY: dict[str, Keyword] = {
    "type": lambda v, kinds, _s, _h: _is_type(v, kinds),
    "const": lambda v, const, _s, _h: v == const and type(v) is type(const),
    "enum": lambda v, values, _s, _h: v in values,
    "anyOf": lambda v, schemas, _s, holds: any(holds(v, each) for each in schemas),
    "allOf": lambda v, schemas, _s, holds: all(holds(v, each) for each in schemas),
    "if": lambda v, condition, schema, holds: not holds(v, condition) or holds(v, schema["then"]),
}
_OF_STRINGS: dict[str, Keyword] = {
    "pattern": lambda v, form, _s, _h: re.search(form.replace("$", r"\Z"), v) is not None,
    "minLength": lambda v, least, _s, _h: len(v) >= least,
    "maxLength": lambda v, most, _s, _h: len(v) <= most,
}
_OF_NUMBERS: dict[str, Keyword] = {
    "minimum": lambda v, least, _s, _h: v >= least,
    "maximum": lambda v, most, _s, _h: v <= most,
    "exclusiveMinimum": lambda v, below, _s, _h: v > below,
}
_OF_ARRAYS: dict[str, Keyword] = {
    "minItems": lambda v, least, _s, _h: len(v) >= least,
    "maxItems": lambda v, most, _s, _h: len(v) <= most,
    "items": lambda v, schema, _s, holds: all(holds(each, schema) for each in v),
}
_OF_OBJECTS: dict[str, Keyword] = {
    "required": lambda v, names, _s, _h: v.keys() >= set(names),
    "properties": lambda v, named, _s, holds: all(
        holds(v[name], schema) for name, schema in named.items() if name in v
    ),
    "additionalProperties": lambda v, allowed, schema, _h: (
        allowed or v.keys() <= schema["properties"].keys()
    ),
    "dependentSchemas": lambda v, named, _s, holds: all(
        holds(v, schema) for name, schema in named.items() if name in v
    ),
}
_OF_OBJECTS["dependencies"] = _OF_OBJECTS["dependentSchemas"]  # its name in draft 7
# A keyword about one type holds for every value of another.
_KEYWORDS: dict[str, tuple[Keyword, str | None]] = {
    name: (keyword, kind)
    for keywords, kind in (
        (_OF_ANY, None),
        (_OF_STRINGS, "string"),
        (_OF_NUMBERS, "number"),
        (_OF_ARRAYS, "array"),
        (_OF_OBJECTS, "object"),
    )
    for name, keyword in keywords.items()
}


def is_valid(value: object, document: Schema, schema: Schema | None = None) -> bool:
    """Whether a parsed JSON value is valid by a schema: the whole document, or one within it.

    Raises:
        KeyError: the schema has a keyword that isn't known here.
    """

    def holds(value: Any, schema: Schema) -> bool:
        return all(
            applies(value, name, argument, schema)
            for name, argument in schema.items()
            if name not in _SAYS_NOTHING
        )

    def applies(value: Any, name: str, argument: Any, schema: Schema) -> bool:
        if name == "$ref":
            return holds(value, referred(argument))
        keyword, kind = _KEYWORDS[name]
        return (kind is not None and not _is_type(value, kind)) or keyword(
            value, argument, schema, holds
        )

    def referred(pointer: str) -> Schema:
        names = pointer.removeprefix("#/").split("/")
        return reduce(lambda within, name: within[name], names, document)

    return holds(value, document if schema is None else schema)
