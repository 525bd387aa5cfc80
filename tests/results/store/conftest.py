"""A store, and three records in it."""

from __future__ import annotations

import pytest

from optathlon.results import Store
from tests.results.make import record


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def three(store):
    records = [record(0.1 * n, seed=n) for n in (1, 2, 3)]
    for r in records:
        store.commit(r)
    return sorted(records, key=lambda r: r.id)
