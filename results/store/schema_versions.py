"""Reading what an older version wrote, and refusing what a newer one did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import SCHEMA

T = TypeVar("T", bound=msgspec.Struct)
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON of the kind that was asked for."""

UPGRADES: dict[type[msgspec.Struct], dict[int, Upgrade]] = {}
"""For each kind of file, how schema n becomes n + 1."""


class _Versioned(msgspec.Struct):
    schema: int


def decode(data: bytes, kind: type[T], where: object) -> T:
    """`data` as `kind`, upgraded if an older version wrote it; StoreError, naming `where`, if it cannot be read."""
    try:
        value = decoder(kind).decode(data)
        if getattr(value, "schema", SCHEMA) == SCHEMA:
            return _checked(value)
    except msgspec.ValidationError:
        pass
    except NOT_JSON as error:
        raise StoreError(f"{where}: truncated or not JSON ({error})") from None
    try:
        return _checked(msgspec.convert(_upgraded(data, kind), kind))
    except NOT_JSON as error:
        raise StoreError(f"{where}: is not {_a(kind)}: {error}") from None
    except _Unreadable as error:
        raise StoreError(f"{where}: {error}") from None


def _checked(value: T) -> T:
    """`found`, or msgspec.ValidationError if its own `check` finds what types alone do not."""
    if (check := getattr(value, "check", None)) is not None:
        check()
    return value


class _Unreadable(Exception):  # noqa: N818
    pass


def _upgraded(data: bytes, kind: type[msgspec.Struct]) -> dict[str, Any]:
    version = decoder(_Versioned).decode(data).schema
    if version > SCHEMA:
        raise _Unreadable(f"schema {version} is newer than {SCHEMA}, which this version of Optathlon reads; update it")
    values = msgspec.json.decode(data)
    for step in range(version, SCHEMA):
        upgrade = UPGRADES.get(kind, {}).get(step)
        if upgrade is None:
            raise _Unreadable(f"schema {version} is too old; nothing upgrades {_a(kind)} from {step} to {step + 1}")
        values = upgrade(values) | {"schema": step + 1}
    return values


def _a(kind: type[msgspec.Struct]) -> str:
    name = kind.__name__.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


_DECODERS: dict[type, msgspec.json.Decoder] = {}


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """One decoder a kind, made when first asked for."""
    if kind not in _DECODERS:
        _DECODERS[kind] = msgspec.json.Decoder(kind)
    return _DECODERS[kind]
