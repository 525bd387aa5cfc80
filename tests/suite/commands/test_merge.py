"""optathlon merge tells what it did, and fails on conflicts."""

from __future__ import annotations

import json

import msgspec

from optathlon.results import Store
from optathlon.results.record import Identity
from optathlon.suite.identity import digest, run_id
from tests.results.make import problem, record
from tests.suite.commands.in_process import ran


def test_merge_tells_what_it_did_and_fails_on_conflicts(tmp_path, capsys):
    ours = run_of("mnist", 0.5, {"machine": {"host": "here"}})
    theirs = run_of("mnist", 0.6, {"machine": {"host": "there"}})
    for name, made in (("a", ours), ("b", theirs)):
        Store(tmp_path / name).commit(made)
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(tmp_path / "all")]
    code, text, _ = ran(capsys, "merge", *words, "--dry-run")
    assert (code, "1 records would be copied" in text, (tmp_path / "all").exists()) == (3, True, False)
    code, text, _ = ran(capsys, "merge", *words)
    assert code == 3
    assert "conflict" in text
    assert "kept:     host here" in text
    assert "left out: host there" in text
    assert [r.scores[0].value for r in Store(tmp_path / "all").records()] == [0.5]
    document = json.loads(ran(capsys, "merge", *words, "--json")[1])
    assert [(s["copied"], s["same"], len(s["conflicts"])) for s in document["sources"]] == [(0, 1, 0), (0, 0, 1)]
    assert ran(capsys, "merge", str(tmp_path / "a"), "--into", str(tmp_path / "all"))[0] == 0


def run_of(task, value, provenance):
    """A record whose id is what the suite makes of its problem, setting and seed."""
    made = record(value, of_problem=problem(task), provenance=provenance)
    identity = Identity(problem=digest(made.problem), setting=digest(made.setting))
    return msgspec.structs.replace(made, digests=identity, id=run_id(identity, made.seed))


def test_merge_leaves_out_a_record_whose_id_is_not_its_own(tmp_path, capsys):
    Store(tmp_path / "a").commit(forged := msgspec.structs.replace(run_of("mnist", 0.5, {}), seed=7))
    code, _, error = ran(capsys, "merge", str(tmp_path / "a"), "--into", str(tmp_path / "all"))
    assert code == 3
    assert f"run {forged.id}: its id is not that of its problem, setting and seed" in error
