"""Fourteen tasks and long names in a real headless Chromium: nothing is cut, shifted, or in the way of another."""

from __future__ import annotations

import pytest

from optathlon.results.page.document import html
from optathlon.results.page.report import Again
from tests.results.page.synthetic import TASKS, outcomes, report_of, sweep

pytestmark = pytest.mark.slow
PAPER = 1046
"""Pixels across A4 on its side, less the margins."""

LONG = ("sgd", "my_module:MyFancyOptimizer", "sgd lr=0.1 momentum=0.9 weight_decay=0.0001", "m" * 60, "adamw", "W" * 12)
FOURTEEN = (
    *TASKS,
    "biased-mnist-0.990",
    "wikitext103-llama",
    "cifar10-adversarial",
    *(f"some-task-{i}" for i in range(8)),
)


@pytest.fixture(scope="module")
def wide_path(tmp_path_factory):
    """Fourteen tasks, each winner on the edge of its grid, under names that are long."""
    file = tmp_path_factory.mktemp("wide") / "report.html"
    board = sweep(LONG, FOURTEEN, rates=(0.1, 0.3))
    better = {(name, task): number / 3 for number, name in enumerate(LONG) for task in FOURTEEN}
    lost = [("adamw", TASKS[0], 11), *(("adamw", TASKS[1], seed) for seed in (10, 11, 12))]
    report = report_of(
        board, outcomes(board, better=better, diverged=lost), commands={("sgd", TASKS[0]): [Again("run " * 90, [11])]}
    )
    file.write_text(html(report))
    return file


@pytest.mark.parametrize("width", [400, 1280])
def test_names_break_only_where_they_may(browser, wide_path, width):
    """Each piece between two `<wbr>` or spaces is on one line."""
    browser.open(wide_path, width=width)
    broken = browser.ask("""(() => {
      const walk = (node) => node.nodeType === 3 ? [node] : [...node.childNodes].flatMap(walk);
      const texts = [...document.querySelectorAll("th, .tried dt")].filter((e) => e.checkVisibility()).flatMap(walk);
      return texts.filter((t) => !t.parentElement.closest(".endless")).flatMap((text) =>
        [...text.data.matchAll(/\\S+/g)].filter((word) => {
          const range = document.createRange();
          range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
          return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
        }).map((word) => word[0]));
    })()""")
    assert browser.all("th wbr")
    assert broken == []


@pytest.mark.parametrize("width", [400, 1280])
def test_every_word_of_a_chart_is_inside_of_it(browser, wide_path, width):
    browser.open(wide_path, width=width)
    outside = browser.ask("""[...document.querySelectorAll("svg.chart")].flatMap((chart) => {
      const box = chart.getBoundingClientRect();
      return [...chart.querySelectorAll("text")].filter((text) => {
        const it = text.getBoundingClientRect();
        const over = [box.left - it.left, it.right - box.right, box.top - it.top, it.bottom - box.bottom];
        return Math.max(...over) > .5;
      }).map((text) => text.textContent);
    })""")
    assert len(browser.all("svg.chart text")) > 14 * 3 * 6
    assert outside == []
    rights = browser.ask('[...document.querySelectorAll("svg.chart")].map((c) => c.getBoundingClientRect().right)')
    assert max(rights) <= width, "a chart that has to be scrolled"


def test_on_paper_no_task_is_cut_off(browser, wide_path):
    """A4 lies on its side where there are many tasks."""
    assert "@page { size: A4 landscape; }" in wide_path.read_text()
    browser.open(wide_path, width=PAPER, media="print")
    assert browser.ask("document.querySelector('#board').getBoundingClientRect().right") <= PAPER


@pytest.mark.parametrize("width", [400, 1280])
def test_a_cell_has_a_line_for_each_number_and_nothing_sticks_out_of_it(browser, wide_path, width):
    browser.open(wide_path, width=width)
    boxes = browser.ask("""[...document.querySelectorAll("#board tbody td")].flatMap((cell) => {
      const box = cell.getBoundingClientRect();
      return [...cell.children].map((part) => part.getBoundingClientRect())
        .map((part) => [part.left - box.left, box.right - part.right, part.top - box.top, box.bottom - part.bottom]);
    })""")
    assert min(min(box) for box in boxes) >= 0
    cells = browser.all("#board tbody tr:last-child td")
    assert max(cell.text.count("\n") for cell in cells) == 2
    lines = "#board tbody td > .against"
    heights = browser.ask(
        f"[...document.querySelectorAll('{lines}')].map((part) => part.getBoundingClientRect().height)"
    )
    assert max(heights) < 20


@pytest.mark.parametrize("width", [400, 1280])
def test_lines_under_the_column_that_stays_meet_those_of_the_others(browser, wide_path, width):
    browser.open(wide_path, width=width)
    for scrolled in (0, 73, 301):
        bottoms = browser.ask("""((region, left) => {
          region.scrollLeft = left;
          const top = region.getBoundingClientRect().top;
          const bottom = (cell) => cell.getBoundingClientRect().bottom - top;
          return [...region.querySelectorAll("tr")].map((row) => [...row.cells].map(bottom));
        })(document.querySelector(".scroll"), arguments[0])""", scrolled)  # fmt: skip
        for row in bottoms:
            assert len(set(row)) == 1
            assert row[0] == int(row[0]), "half a pixel is drawn here in one column and there in another"


def test_columns_of_a_phone_stop_beside_the_one_that_stays(browser, wide_path):
    browser.open(wide_path, width=400)
    padding = browser.ask("getComputedStyle(document.querySelector('.scroll')).scrollPaddingLeft")
    width = browser.ask("document.querySelector('#board th').offsetWidth")
    assert padding == f"{width}px"
