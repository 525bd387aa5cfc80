"""One headless browser for all tests of the page."""

from __future__ import annotations

import pytest

from tests.results.page.browser import chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running
