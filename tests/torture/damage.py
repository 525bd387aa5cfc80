"""Damage to files: of any bytes, and of what stands in JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

ODD = (None, True, -1, 2**70, 1e308, "", "\x1b[31m", "‮abc", "../../etc", [], [[]], {}, {"": None}, "x" * 5000, 0)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """`data` with one thing wrong: a bit, a byte, a piece lost, doubled or put in, its end, or a value in its JSON."""
    ways = (_bit, _cut, _lose, _double, _put_in, _zeros, _nothing, _json, _json, _json)
    return chance.choice(ways)(data, chance)


def _bit(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\x80"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _lose(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 64) :]


def _double(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[max(0, at - chance.randrange(1, 64)) :]


def _put_in(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 16)) + data[at:]


def _zeros(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes(len(data) - at)


def _nothing(data: bytes, chance: random.Random) -> bytes:
    return b""


def _json(data: bytes, chance: random.Random) -> bytes:
    """A value anywhere in one of the JSON lines of `data` becomes another, is lost, or changes its name."""
    lines = data.split(b"\n")
    number = chance.randrange(len(lines))
    try:
        value = json.loads(lines[number])
    except ValueError:
        return _bit(data, chance)
    places = list(_places(value))
    if not places:
        return _bit(data, chance)
    holder, key = chance.choice(places)
    what = chance.randrange(4)
    if what == 0 and isinstance(holder, dict):
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
    else:
        holder[key] = chance.choice(ODD)
    lines[number] = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
    return b"\n".join(lines)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield value, key
        yield from _places(part)
