"""What tests of records in a store share: where one lies, what boards get of it, and how its file may be wrong."""

from __future__ import annotations

import json
import os

import msgspec

from optathlon.results import Store


def path_of(store, r):
    return store.root / "records" / r.id[:2] / f"{r.id}.json"


def fresh(store):
    return Store(store.root)


def light(r):
    curve = msgspec.structs.replace(r.curve, points={})
    return msgspec.structs.replace(r, curve=curve)


def damage(path, how):
    values = json.loads(path.read_bytes())
    wrong = {
        "truncated": lambda: path.write_bytes(path.read_bytes()[:50]),
        "empty": lambda: path.write_bytes(b""),
        "binary": lambda: path.write_bytes(b"\x80" + os.urandom(200)),
        "not a number": lambda: path.write_text(path.read_text().replace("100", "NaN")),
        "nested too deeply": lambda: path.write_text(f'{{"provenance": {"[" * 5000}{"]" * 5000}}}'),
        "foreign": lambda: path.write_text(json.dumps({"schema": 1, "hello": "world"})),
        "no schema": lambda: path.write_text("{}"),
        "another type": lambda: path.write_text(json.dumps(values | {"updates": "many"})),
        "newer": lambda: path.write_text(json.dumps(values | {"schema": 99})),
        "newer and other": lambda: path.write_text(json.dumps({"id": values["id"], "schema": 99})),
        "older": lambda: path.write_text(json.dumps(values | {"schema": 0})),
        "copied": lambda: path.write_text(json.dumps(values | {"id": "f" * 16})),
        "no optimizer": lambda: path.write_text(json.dumps(values | {"setting": {"version": 1}})),
        "a list for a word": lambda: path.write_text(
            json.dumps(values | {"problem": values["problem"] | {"task": ["mnist"]}})
        ),
        "no protocol": lambda: path.write_text(json.dumps(values | {"problem": {"task": "mnist"}})),
        "beyond 64 bits": lambda: path.write_text(json.dumps(values | {"updates": 2**63})),
        "a seed beyond": lambda: path.write_text(json.dumps(values | {"seed": -(2**63) - 1})),
        "a divergence beyond": lambda: path.write_text(json.dumps(values | {"diverged_at": 10**30})),
    }
    wrong[how]()
