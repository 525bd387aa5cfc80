"""The JSON schema of sweep files, for editors: made of the types of protocols and of the names that there are.

It refuses what no expansion could take; what only the expansion knows (a hyperparameter's range, a setting that stands
twice) it lets pass. Draft 7, which taplo and other TOML editors read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from optathlon import optimizers, tasks
from optathlon.suite.planning.cluster_settings import PARSERS, PER_SHAPE
from optathlon.suite.planning.seeds import MOST_SEEDS, ONCE, PER_SEED
from optathlon.suite.probes import PROBES
from optathlon.tasks.task import Protocol

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1, "pattern": r"^[^\n\r]+$"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_TABLE: Schema = {"type": "object"}
_SEED: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_SEEDS: Schema = {"type": "array", "items": _SEED, "uniqueItems": True}
_DIGITS: Schema = {"type": "integer", "minimum": 0, "maximum": 10}


def schema() -> Schema:
    """Returns the JSON schema of sweep files with the tasks, optimizers and probes that are installed here."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An Optathlon sweep",
        "required": ["tasks", "optimizer"],
        **_closed(
            {
                "name": {"type": "string", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
                         "description": "the sweep's name in the store"},
                "summary": {"type": "string", "description": "a line for `optathlon list sweeps`"},
                "tasks": {"type": "array", "minItems": 1, "uniqueItems": True, "items": _named(tasks.names(), "[:*]"),
                          "description": 'what is trained: names, wildcards ("biased-mnist-*") or module:TASK'},
                "scale": {"enum": [*tasks.SCALES], "description": "paper (default), mini or smoke"},
                "seeds": _seeds(),
                "select": {"enum": [ONCE, PER_SEED],
                           "description": "whether one setting is chosen for all report seeds, or one for each"},
                "baseline": {"type": "string", "description": "the label of the row that differences are taken to"},
                "canary": {"type": "boolean", "description": "one run of each kind first, the rest once it gets on"},
                "budget": _closed({"hours": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e9}}),
                "optimizer": {"type": "array", "minItems": 1, "items": _optimizer()},
                "protocol": {"$ref": "#/definitions/Protocol"},
                "override": {"type": "object", "additionalProperties": _override()},
                "cluster": _cluster(PARSERS),
                "probes": _probes(),
                "table": _printed_table(),
                "figure": _closed({"curves": {"type": "array", "minItems": 1, "items": {"type": "string"}}}),
            }
        ),
        "definitions": _protocol_definitions(),
    }  # fmt: skip


def _closed(properties: Schema, **more: Any) -> Schema:
    """A table with these keys and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def _named(names: Iterable[str], also: str) -> Schema:
    """One of `names`, which editors then offer, or a text that has a match of `also`."""
    return {"anyOf": [{"enum": [*names]}, {"type": "string", "pattern": also}]}


def _seeds() -> Schema:
    seeds: Schema = {**_SEEDS, "minItems": 1}
    count = {"type": "integer", "minimum": 2, "maximum": MOST_SEEDS}
    looks = _closed(
        {"first": count, "most": count, "looks": {"type": "array", "items": count, "minItems": 1}},
        anyOf=[{"required": ["first", "most"]}, {"required": ["looks"]}],
    )
    roles = _closed({"tune": _SEEDS, "report": {"anyOf": [seeds, looks]}}, required=["report"])
    what = "seeds to report, or {tune = seeds that choose a setting, report = others that judge it}"
    return {"anyOf": [seeds, roles], "description": what}


def _grid_words() -> Schema:
    """The words of a block that say which settings are tried."""
    random = {"type": "object", "required": ["trials"], "properties": {"trials": _COUNT, "seed": _SEED}}
    return {
        "fixed": {**_TABLE, "description": "a value each, the same in all settings"},
        "grid": {"anyOf": [_TABLE, {"const": "default"}], "description": 'lists that multiply; or "default"'},
        "zip": {"type": "array", "minItems": 1, "items": _TABLE, "description": "values that move together"},
        "random": {**random, "description": "random = {trials = 20, seed = 1, lr = {log = [1e-4, 1e-1]}}"},
    }


def _optimizer() -> Schema:
    names, words = _named(optimizers.names(), ":"), _grid_words()
    words["random"]["required"] = ["trials", "seed"]
    properties = {
        "name": {**names, "description": "what is compared: optathlon list optimizers, or module:Class"},
        "label": {
            **_TEXT,
            "not": {"enum": ["optimizers", "protocol", "cluster"]},
            "description": "the row's name, if not the name",
        },
        **words,
        "protocol": {"$ref": "#/definitions/Protocol"},
        "cluster": _cluster(PER_SHAPE),
        "probes": _probes(),
    }
    return _closed(properties, required=["name"])


def _override() -> Schema:
    """What changes for one task: who runs it, protocol, cluster, and by label an optimizer's settings and protocol."""
    protocol = {"$ref": "#/definitions/Protocol"}
    words = _grid_words() | {"grid": _TABLE, "protocol": protocol}
    labels = {
        "type": "array",
        "minItems": 1,
        "items": _TEXT,
        "description": "those that run it, by label (default: all)",
    }
    own = {"optimizers": labels, "protocol": protocol, "cluster": _cluster(PER_SHAPE)}
    return {"type": "object", "properties": own, "additionalProperties": _closed(words)}


def _probes() -> Schema:
    what = "; ".join(f"{name}: {text}" for name, text in PROBES.items())
    return {"type": "array", "items": {"enum": [*PROBES]}, "description": f"measured while training: {what}"}


def _cluster(keys: Iterable[str]) -> Schema:
    lines = {"type": "array", "items": {"type": "string"}}
    gpus = {"type": "string", "pattern": r"^([A-Za-z0-9_.-]+:)?[1-9]\d*$"}
    option = {"type": "string"}
    time = {"type": "string", "pattern": r"^(\d+-)?\d+:[0-5]\d:[0-5]\d$"}
    special: Schema = {
        "kind": {"enum": ["local", "slurm"]},
        "chain": {"type": "integer", "minimum": 0},
        "gpus": {"anyOf": [{"type": "integer", "minimum": 0}, gpus]},
        "memory": {"type": "string", "pattern": r"^[1-9]\d*[KMGT]B?$"},
        "time": {"anyOf": [_COUNT, time]},
        "setup": lines,
        "srun": lines,
        "sbatch": {"type": "object", "additionalProperties": {"anyOf": [option, {"type": "integer"}, {"const": True}]}},
    }
    counts = dict.fromkeys(("workers", "slots", "nodes", "processes", "cpus", "notice"), _COUNT)
    known = {**counts, **special}
    return _closed({key: known.get(key, _TEXT) for key in keys}, description="where and with what: docs/clusters.md")


def _printed_table() -> Schema:
    label = {"label": _TEXT}
    column = _closed(
        {"task": {"type": "string"}, "mean": {"type": "array", "minItems": 1, "items": {"type": "string"}},
         "metric": {"type": "string"}, "digits": _DIGITS, **label},
        oneOf=[{"required": ["task"]}, {"required": ["mean"]}],
    )  # fmt: skip
    number = {"type": "number"}
    curve = _closed(
        {"task": {"type": "string"}, "curve": _TEXT, "metric": _TEXT, "unit": {"type": "string"},
         "at": {"anyOf": [number, {"enum": ["last", "mean"]}]}, "factor": number,
         "higher_is_better": {"type": "boolean"}, "digits": _DIGITS, **label},
        required=["task", "curve", "metric"],
    )  # fmt: skip
    row = _closed({"row": {"type": "string"}, **label}, required=["row"])
    kinds = {"columns": [column, curve], "rows": [row]}
    entries = {
        key: {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, *of_key]}}
        for key, of_key in kinds.items()
    }
    more = {
        "digits": _DIGITS,
        "across": {"enum": ["tasks", "optimizers"], "description": "what stands side by side"},
        "published": {**_TEXT, "description": "the paper's table whose numbers stand beside: AdamP Table 3"},
    }
    return _closed({**entries, **more}, description="how results are printed: docs/leaderboards.md")


def _protocol_definitions() -> Schema:
    """Definitions of msgspec's making, in which nothing of a protocol is required, as a sweep says what it changes."""
    (_,), definitions = msgspec.json.schema_components([Protocol], ref_template="#/definitions/{name}")
    for name in ("Protocol", "Select"):
        definitions[name].pop("required", None)
    protocol = definitions["Protocol"]["properties"]
    protocol["tags"], protocol["settings"] = _TABLE, _TABLE
    protocol["schedule"] = {"anyOf": [_changed_schedule(definitions, protocol["schedule"]), protocol["schedule"]]}
    return definitions


def _changed_schedule(definitions: Schema, schedules: Schema) -> Schema:
    """A schedule without its kind, which changes single fields of the task's own."""
    fields: Schema = {}
    for reference in schedules["anyOf"]:
        fields |= definitions[reference["$ref"].rpartition("/")[2]]["properties"]
    return _closed({key: value for key, value in fields.items() if key != "kind"})
