"""Sources lie in the store once, under what they hold, and are given back only as they were."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from optathlon.results import Store, StoreError
from optathlon.results.store.merge import merge
from tests.results.make import record

SOURCE = b"class Mine: ...\n"
DIGEST = hashlib.sha256(SOURCE).hexdigest()


def test_a_source_is_kept_once_under_its_digest(tmp_path):
    store = Store(tmp_path / "store")
    assert store.keep_source(SOURCE) == store.keep_source(SOURCE) == DIGEST
    assert [path.name for path in (store.root / "sources").iterdir()] == [f"{DIGEST}.py"]
    assert store.source(DIGEST) == SOURCE


def test_a_source_that_is_missing_or_changed_is_refused_by_name(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError, match=f"{DIGEST}.py: is not there"):
        store.source(DIGEST)
    store.keep_source(SOURCE)
    (store.root / "sources" / f"{DIGEST}.py").write_bytes(b"import os\n")
    with pytest.raises(StoreError, match="is not what was kept"):
        store.source(DIGEST)
    store.keep_source(SOURCE)  # by the next run of it, which has it whole
    assert store.source(DIGEST) == SOURCE


@pytest.mark.parametrize("digest", ["../../etc/passwd", DIGEST[:-1], DIGEST.upper(), "", 3, None])
def test_what_is_no_digest_names_no_file(tmp_path, digest):
    with pytest.raises(StoreError, match="is not the digest of a source"):
        Store(tmp_path / "store").source(digest)


def test_a_merge_brings_the_sources_of_the_records_that_it_copies(tmp_path):
    source, into = Store(tmp_path / "lab"), Store(tmp_path / "all")
    made = record()
    kept = {"mine": {"file": "mine.py", "sha256": source.keep_source(SOURCE), "installed": False}}
    source.commit(msgspec.structs.replace(made, provenance={"sources": kept}))
    (found,) = merge([source], into, lambda _: True)
    assert found.whole
    assert into.source(DIGEST) == SOURCE


@pytest.mark.parametrize("kept", [{"mine": {"sha256": DIGEST}}, {"mine": 3}, {"mine": {"sha256": "../x"}}])
def test_a_merge_names_a_source_that_is_not_there_and_copies_the_record(tmp_path, kept):
    source, into = Store(tmp_path / "lab"), Store(tmp_path / "all")
    source.commit(msgspec.structs.replace(record(), provenance={"sources": kept}))
    (found,) = merge([source], into, lambda _: True)
    assert found.copied == 1
    assert f"run {record().id}: its source is left out" in found.problems[0]
