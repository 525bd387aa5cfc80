"""Whatever is not markup is escaped."""

from __future__ import annotations

import pytest

from optathlon.results.page.markup import Html, join, tag, text
from tests.results.page.reading import Page


@pytest.mark.parametrize(
    "hostile", ["</script><img src=x onerror=alert(1)>", "'\"><svg/onload=1>", "a & b < c", "&lt;b&gt;"]
)
def test_text_comes_out_as_it_went_in(hostile):
    page = Page(tag("p", hostile, title=hostile))
    assert page.elements == [("p", {"title": hostile})]
    assert page.words == [hostile]


def test_control_characters_are_replaced():
    assert text("a\x00b\x1b[31mc\x7fd\x85e\ud800f") == "a\ufffdb\ufffd[31mc\ufffdd\ufffde\ufffdf"
    assert text("tab\tand\nline") == "tab\tand\nline"


def test_marks_without_width_are_shown():
    assert text("a\u200bd\u200eam\ufeff\u2060\u00ad\u3164") == "a\ufffdd\ufffdam" + 4 * "\ufffd"
    assert text("two\u00a0words\u2009more") == "two\u00a0words\u2009more"


def test_markup_is_not_escaped_twice():
    assert tag("p", tag("b", "<")) == "<p><b>&lt;</b></p>"
    assert join(["<", Html("<br>"), None, 3], ", ") == "&lt;, <br>, 3"


def test_attributes():
    assert (
        tag("td", class_="a", data_row=3, hidden=True, id=None, open=False) == '<td class="a" data-row="3" hidden></td>'
    )


def test_what_has_no_end_tag():
    assert tag("input", type="search") == '<input type="search">'
    assert tag("path", d="M0 0") == '<path d="M0 0"/>'
