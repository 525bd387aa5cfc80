"""Plain values as typed structs, with errors that name the field, its value and what would be right. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from optathlon.tasks.errors import TaskError, did_you_mean

Kind = TypeVar("Kind", bound=msgspec.Struct)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`$")
_TABLE = re.compile(r"(?<=Expected )`object`")
_ENTRY = re.compile(r"\.(\w+)\[\.\.\.\]")
"""Of a dictionary's entry msgspec leaves out the key."""
_SCHEDULE = 'a table such as {kind = "cosine"}'


def convert(values: Mapping[str, Any], kind: type[Kind], place: str) -> Kind:
    """`values` as a `kind`; TaskError names the field below `place` that is missing, unknown or not as it must be."""
    for key in values:
        if key not in kind.__struct_fields__:
            raise TaskError(f"{place}.{key}: unknown{did_you_mean(key, kind.__struct_fields__)}")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _explained(error, values, kind, place) from None


def _explained(error: msgspec.ValidationError, values: Mapping[str, Any], kind: type, place: str) -> TaskError:
    """msgspec's `error` with what it leaves out: the value, and of a fixed list of words those that are known."""
    message, _, path = str(error).partition(" - at `$")
    path = _with_key(path.rstrip("`"), values, kind)
    steps = [name or int(index) for name, index in _STEP.findall(path)]
    value, choices = _value(values, steps), _choices(kind, steps)
    if field := _UNKNOWN.match(message):
        return TaskError(f"{place}{path}.{field[1]}: unknown")
    message = _TABLE.sub("a table" if place != "protocol" or path != ".schedule" else _SCHEDULE, message)
    if choices and isinstance(value, str):
        message = f"unknown {value!r}{did_you_mean(value, choices)}"
    elif value is not None and not isinstance(value, Mapping):
        message += f" {value!r}" if ", got " in message else f", not {value!r}"
    return TaskError(f"{place}{path}: {message}")


def _with_key(path: str, values: Mapping[str, Any], kind: type) -> str:
    """`path` with the key of the entry that is wrong, which is the first that is wrong alone as well."""
    if not (entry := _ENTRY.match(path)):
        return path
    table = values[entry[1]]
    for key, value in table.items():
        try:
            msgspec.convert({**values, entry[1]: {key: value}}, kind)
        except msgspec.ValidationError:
            return f".{entry[1]}.{key}{path[entry.end() :]}"
    return path


def _value(values: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _choices(kind: type, steps: Iterable[str | int]) -> tuple[str, ...]:
    """The words of the fixed list, of which one is wanted at `steps`; none if anything else is."""
    expected: Any = msgspec.inspect.type_info(kind)
    for step in steps:
        kinds = [t for t in getattr(expected, "types", [expected]) if isinstance(t, msgspec.inspect.StructType)]
        if kinds and step == kinds[0].tag_field:
            return tuple(str(t.tag) for t in kinds)
        if kinds:
            expected = next((field.type for field in kinds[0].fields if field.encode_name == step), None)
        else:
            expected = getattr(expected, "item_type", None)
    return tuple(map(str, expected.values)) if isinstance(expected, msgspec.inspect.LiteralType) else ()
