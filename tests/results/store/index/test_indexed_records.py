"""What readers take from the index: it spares them the records, and never says anything else than these."""

from __future__ import annotations

import os

import msgspec

from optathlon.results.store import archive as archive_module
from tests.results.make import record, setting
from tests.results.store.written_records import damage, fresh, light, path_of


def parts(store):
    """The files of the index, by name."""
    return sorted((store.root / "index").iterdir())


def test_with_without_and_with_a_damaged_index_the_records_are_the_same(store, three):
    expected, brief = store.records(), store.records(brief=True)
    assert store.compact() == 3
    (part,) = parts(store)
    whole = part.read_bytes()
    assert fresh(store).records() == expected
    half = whole[: len(whole) // 2]
    for damaged in (half, whole.replace(b"finished", b"\xff"), b"", b"garbage\n" + whole, whole[:-1], whole[:60]):
        part.write_bytes(damaged)
        reader = fresh(store)
        assert (reader.records(), reader.records(brief=True)) == (expected, brief)
        assert reader.problems == []
        assert store.compact() == 3
        (part,) = parts(store)
        assert part.read_bytes() == whole, "made again from the records"
    part.unlink()
    assert fresh(store).records() == expected


def test_a_single_wrong_bit_in_the_index_changes_no_record(store, three):
    """Where one bit turns 0.5 into 0.4, or the name of a field into another."""
    expected, brief = store.records(), store.records(brief=True)
    store.compact()
    (part,) = parts(store)
    whole = part.read_bytes()
    for at in range(0, len(whole), 11):
        part.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        reader = fresh(store)
        assert (reader.records(brief=True), reader.records()) == (brief, expected), at
        assert reader.problems == []


def test_what_is_no_part_of_the_index_disturbs_nobody(store, three):
    store.compact()
    (store.root / "index" / "folder").mkdir()
    (store.root / "index" / "link").symlink_to("nowhere")
    (store.root / "index" / "notes").write_text("hello")
    reader = fresh(store)
    assert reader.records() == store.records()
    assert (reader.compact(), reader.problems) == (3, [])


def test_records_that_disagree_about_what_a_digest_stands_for_keep_what_they_say(store):
    first = record(0.1, seed=1)
    other = record(0.2, seed=2, digests=first.digests, setting=setting("adam"))
    for r in (first, other):
        store.commit(r)
    store.compact()
    assert {r.id: r.setting for r in fresh(store).records()} == {r.id: r.setting for r in (first, other)}


def test_problems_and_settings_of_the_index_are_held_once(store, three):
    store.compact()
    found = fresh(store).records()
    assert len({id(r.problem) for r in found}) == len({id(r.setting) for r in found}) == 1


def test_brief_records_have_of_their_provenance_what_boards_need(store):
    where = {"attempt": 3, "code": {"tree": "aaaa", "commit": "bbbb"}, "machine": {"host": "node"}}
    odd = {"attempt": "three"}
    written = [record(0.1 * n, seed=n, provenance=p) for n, p in ((1, where), (2, where), (3, {}), (4, odd))]
    for each in written:
        store.commit(each)
    kept = {1: {"attempt": 3, "code": {"tree": "aaaa"}}, 3: {"attempt": 0, "code": {"tree": None}}, 4: {}}
    expected = [
        msgspec.structs.replace(light(r), provenance=kept[min(r.seed, 1) if r.seed < 3 else r.seed])
        for r in sorted(written, key=lambda r: r.id)
    ]
    assert fresh(store).records(brief=True) == expected
    store.compact()
    reader = fresh(store)
    assert reader.records(brief=True) == expected
    assert reader.records() == [light(r) for r in sorted(written, key=lambda r: r.id)]
    of_two = [r.provenance for r in reader.records(brief=True) if r.seed < 3]
    assert of_two[0] is of_two[1]


def test_the_index_spares_opening_the_records_it_has(store, three, monkeypatch):
    store.compact()
    store.commit(late := record(0.9, seed=9))
    opened = []
    read = archive_module.read
    monkeypatch.setattr(archive_module, "read", lambda path: opened.append(str(path)) or read(path))
    assert len(fresh(store).records()) == 4
    assert opened == [str(path_of(store, late))]


def test_an_index_outlives_no_record(store, three):
    store.compact()
    path_of(store, three[0]).unlink()
    assert [r.id for r in fresh(store).records()] == [r.id for r in three[1:]]
    assert store.compact() == 2


def test_an_index_of_an_older_version_is_not_believed_and_is_made_anew(store, three):
    """Versions before 0.2 wrote a record per line; what they wrote is all in the records."""
    (store.root / "index.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in three))
    damage(path_of(store, three[1]), "another type")
    assert [r.id for r in fresh(store).records()] == [three[0].id, three[2].id]
    assert store.compact() == 2
    assert not (store.root / "index.jsonl").exists()
    assert [r.id for r in fresh(store).records()] == [three[0].id, three[2].id]


def test_a_part_of_another_format_is_made_again(store, three):
    store.compact()
    (part,) = parts(store)
    whole = part.read_bytes()
    part.write_bytes(whole.replace(b"optathlon index 2", b"optathlon index 9"))
    assert fresh(store).records() == [light(r) for r in three]
    assert store.compact() == 3
    assert [p.read_bytes() for p in parts(store)] == [whole]


def test_the_index_of_a_shared_store_is_shared(store):
    store.root.mkdir()
    store.root.chmod(0o2775)
    before = os.umask(0o077)
    try:
        store.commit(r := record())
        store.compact()
    finally:
        os.umask(before)
    for path in (*parts(store), path_of(store, r)):
        assert path.stat().st_mode & 0o060 == 0o060
    for folder in (store.root / "index", path_of(store, r).parent):
        assert folder.stat().st_mode & 0o070 == 0o070
