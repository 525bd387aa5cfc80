"""What `show` prints for people: a task's protocols beside each other, values as one would write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optathlon.results.record import flat
from optathlon.suite.console import table

LEFT_OUT = ("curve", "schema")
NOTHING = "-"


def text(description: Mapping[str, Any]) -> str:
    """Returns a description as lines of text, without what is empty."""
    return "\n".join(_lines({key: value for key, value in description.items() if key not in LEFT_OUT}, ""))


def _lines(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if _is_empty(value):
            continue
        if key == "protocols":
            yield from ("", _protocols(value), "")
        elif key == "scores":
            yield from (
                "",
                table([(s["name"], _value(s["value"]), s["unit"]) for s in value], ("score", "value", "unit")),
                "",
            )
        elif isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list | tuple) and isinstance(value[0], Mapping):
            yield f"{indent}{key}: {', '.join(map(_entry, value))}"
        else:
            yield f"{indent}{key}: {_value(value)}"


def _protocols(protocols: Mapping[str, Any]) -> str:
    """Lays protocols out: one row per field, named as `protocol.KEY=VALUE` takes it, one column per scale."""
    tables = {scale: flat(protocol) for scale, protocol in protocols.items()}
    keys = dict.fromkeys(key for fields in tables.values() for key in fields)
    rows = [[key, *(_value(fields.get(key)) for fields in tables.values())] for key in keys]
    shown = [row for row in rows if any(text != NOTHING for text in row[1:])]
    return table(shown, ("protocol", *tables))


def _entry(value: Mapping[str, Any]) -> str:
    """A metric in the words of a board, anything else with its fields' names."""
    if "higher_is_better" in value and "name" in value:
        unit = f" ({value['unit']})" if value.get("unit") else ""
        return f"{value['name']}{unit} {'↑' if value['higher_is_better'] else '↓'}"
    return " ".join(f"{key} {_value(each)}" for key, each in value.items())


def _value(value: Any) -> str:
    if _is_empty(value):
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()  # as TOML and protocol.KEY=VALUE take it
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return str(value)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | Mapping) and not value)
