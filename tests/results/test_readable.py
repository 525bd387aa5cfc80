"""Nothing invisible is shown as it is."""

from __future__ import annotations

import json

import pytest

from optathlon.results.readable import in_json, one_line, spelled_out, visible

UNSEEN = ["\u200b", "\u2060", "\ufeff", "\u00ad", "\u202e", "\ufe0f", "\u034f", "\u115f", "\u3164", "\U000e0041"]
"""Some of them are printable characters to Python."""


@pytest.mark.parametrize("mark", UNSEEN, ids=ascii)
def test_a_mark_without_width_or_shape_is_shown_as_one(mark):
    assert one_line(f"ad{mark}am") == one_line(f"ad{mark}am\n")[:-1] == visible(f"ad{mark}am") == "ad\ufffdam"
    assert spelled_out(f"ad{mark}am") == f"ad{mark.encode('unicode_escape').decode()}am"
    shown = in_json(json.dumps(f"ad{mark}am", ensure_ascii=False))
    assert shown.isascii()
    assert json.loads(shown) == f"ad{mark}am"


def test_what_is_seen_stays():
    for text in ("adamw", "Größe 東京 α", "e\u0301", "two words"):
        assert one_line(text) == visible(text) == spelled_out(text) == text
