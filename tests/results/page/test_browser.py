"""The page in a real headless Chromium: sorting, filtering, toggles, keyboard, dark, phone, paper, and no request."""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest
from selenium.webdriver.common.keys import Keys

from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.page.document import html
from optathlon.results.page.report import Report
from tests.results.page.synthetic import FAR, TASKS, outcomes, report_of, sweep
from tests.results.page.test_document import ENTRY, HOSTILE, hostile_report

pytestmark = pytest.mark.slow
ROWS = ("sgd", "adamw", "adamp", "lion")
OPTIMIZER, RANK, FIRST = 1, 2, 3
BEST_FIRST = ["adamp", "adamw", "sgd", "lion"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """On the first task adamp, adamw, sgd, lion, far apart; on the second all alike, and lion has diverged; there a
    reference model stands below."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    planned = sweep(ROWS, TASKS, tune=())
    better = {("adamp", TASKS[0]): 2 * FAR, ("adamw", TASKS[0]): FAR, ("lion", TASKS[0]): -FAR}
    lost = [("lion", TASKS[1], seed) for seed in (10, 11, 12)]
    records = outcomes(planned, better=better, diverged=lost)
    results = report_of(planned, records).results
    board = msgspec.structs.replace(results.board, references=[ReferenceRow(name="chance", values=[None, 50.0, None])])
    results = msgspec.structs.replace(results, board=board)
    file.write_text(html(Report(results, results.records, entries=[ENTRY], command="optathlon report")))
    return file


def column_of(browser, task):
    return FIRST + [*TASKS].index(task)


def press(browser, number):
    browser.element(f"#board thead th:nth-child({number}) button").click()


def sorted_by(browser):
    """The columns that say that they are sorted, and how."""
    heads = browser.all("#board thead th")
    found = [(i, head.get_dom_attribute("aria-sort")) for i, head in enumerate(heads, start=1)]
    return [(i, how) for i, how in found if how]


def test_nothing_is_asked_for_and_nothing_complained_of(browser, path):
    browser.requests(), browser.complaints()
    browser.open(path)
    press(browser, FIRST)
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []


def test_a_column_sorts_best_first_then_worst_first_then_as_it_was(browser, path):
    browser.open(path)
    before = browser.column(OPTIMIZER)
    assert sorted_by(browser) == []
    press(browser, FIRST)
    assert browser.column(OPTIMIZER) == BEST_FIRST
    assert sorted_by(browser) == [(FIRST, "descending")]
    press(browser, FIRST)
    assert browser.column(OPTIMIZER) == BEST_FIRST[::-1]
    assert sorted_by(browser) == [(FIRST, "ascending")]
    press(browser, FIRST)
    assert browser.column(OPTIMIZER) == before
    assert sorted_by(browser) == []


def test_what_is_missing_stands_last_in_both_directions(browser, path):
    browser.open(path)
    second = column_of(browser, TASKS[1])
    for _ in range(2):
        press(browser, second)
        values = browser.column(second)
        assert values[-1] == "diverged"
        assert browser.column(OPTIMIZER)[-1] == "lion"
    numbers = [float(value.split()[0]) for value in values[:-1]]
    assert numbers == sorted(numbers)


def test_only_one_column_is_sorted_and_a_listener_is_told(browser, path):
    browser.open(path)
    press(browser, FIRST)
    press(browser, OPTIMIZER)
    assert sorted_by(browser) == [(OPTIMIZER, "ascending")]
    assert browser.column(OPTIMIZER) == sorted(ROWS)
    assert browser.ask("document.getElementById('said').textContent") == "sorted by optimizer, ascending"
    assert browser.ask("document.getElementById('said').getAttribute('role')") == "status"


def test_ranks_sort_lowest_first(browser, path):
    browser.open(path)
    press(browser, RANK)
    assert sorted_by(browser) == [(RANK, "ascending")]
    ranks = [float(rank) for rank in browser.column(RANK)]
    assert ranks == sorted(ranks)


def test_the_keyboard_sorts_filters_and_toggles(browser, path):
    browser.open(path)
    button = browser.element(f"#board thead th:nth-child({FIRST}) button")
    button.send_keys(Keys.ENTER)
    assert browser.column(OPTIMIZER) == BEST_FIRST
    button.send_keys(Keys.SPACE)
    assert browser.column(OPTIMIZER) == BEST_FIRST[::-1]
    browser.element("#show-sd").send_keys(Keys.SPACE)
    assert not browser.element("#board .sd").is_displayed()


def test_the_tab_key_reaches_everything_in_order(browser, path):
    browser.open(path)
    reached = []
    for _ in range(40):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(
            browser.ask(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    wanted = ["skip", "theme-auto", "show-mean", "find-row", "scroll", "BUTTON"]
    places = [reached.index(name) for name in wanted]
    assert places == sorted(places)
    outline = browser.ask("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_optimizers_are_filtered_by_any_of_the_words(browser, path):
    browser.open(path)
    field = browser.element("#find-row")
    field.send_keys("ADAM")
    assert set(browser.column(OPTIMIZER)) == {"adamw", "adamp"}
    field.clear()
    field.send_keys("sgd, lion")
    assert set(browser.column(OPTIMIZER)) == {"sgd", "lion"}
    field.clear()
    field.send_keys("nobody")
    assert browser.column(OPTIMIZER) == []
    assert browser.ask("document.getElementById('said').textContent") == "0 of 4 rows"


def test_tasks_are_filtered_in_the_table_and_below(browser, path):
    browser.open(path)
    browser.element("#find-task").send_keys("cub")
    heads = [head.text.split("\n")[0] for head in browser.all("#board thead th") if head.is_displayed()]
    assert heads == ["optimizer", "mean rank", TASKS[1]]
    shown = [s.get_dom_attribute("data-task") for s in browser.all("section.task") if s.is_displayed()]
    assert shown == [TASKS[1]]
    assert len([cell for cell in browser.all("#board tbody tr:first-child td") if cell.is_displayed()]) == 2
    assert [cell.text for cell in browser.all("#board tfoot td") if cell.is_displayed()] == ["", "50.00"]


def test_reference_models_stay_below_however_rows_are_sorted_and_filtered(browser, path):
    browser.open(path)
    press(browser, column_of(browser, TASKS[1]))
    assert "chance" not in browser.column(OPTIMIZER)
    browser.element("#find-row").send_keys("lion")
    foot = browser.element("#board tfoot")
    assert foot.text.split() == ["chance", "(no", "optimizer)", "50.00"]
    assert foot.location["y"] > browser.element("#board tbody tr:not([hidden])").location["y"]


@pytest.mark.parametrize(
    ("box", "part"), [("mean", ".mean"), ("sd", ".sd"), ("delta", ".delta"), ("verdict", ".verdict")]
)
@pytest.mark.parametrize("script", [True, False])
def test_toggles_hide_parts_of_cells_with_scripts_and_without(browser, path, box, part, script):
    browser.open(path, script=script)
    parts = browser.all(f"#board {part}")
    assert parts
    assert all(element.is_displayed() for element in parts)
    browser.element(f"#show-{box}").click()
    assert not any(element.is_displayed() for element in browser.all(f"#board {part}"))
    browser.element(f"#show-{box}").click()
    assert all(element.is_displayed() for element in browser.all(f"#board {part}"))


def test_without_scripts_everything_is_there_and_nothing_dead_can_be_pressed(browser, path):
    browser.open(path, script=False)
    assert set(browser.column(OPTIMIZER)) == set(ROWS)
    assert not browser.element(".find").is_displayed()
    assert not any(button.is_enabled() for button in browser.all("#board button"))
    assert len(browser.all(".chart .line")) > 3 * 4
    browser.element("details summary").click()
    assert browser.element("details").get_dom_attribute("open") is not None


def brightness(color):
    red, green, blue = (int(n) for n in re.findall(r"\d+", color)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize("script", [True, False])
def test_it_is_dark_where_the_system_is_and_where_the_reader_wants_it(browser, path, script):
    browser.open(path, script=script)
    assert brightness(browser.color("body")) > 200
    browser.element("#theme-dark").click()
    assert brightness(browser.color("body")) < 60
    assert brightness(browser.color("body", "color")) > 180
    browser.open(path, dark=True, script=script)
    assert brightness(browser.color("body")) < 60
    browser.element("#theme-light").click()
    assert brightness(browser.color("body")) > 200


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast(browser, path, dark):
    browser.open(path, dark=dark)
    for part in ("body", ".note", "figcaption", "#board .sd", "#board .better", "#board .worse", "nav a", "summary"):
        assert contrast(browser.color(part, "color"), browser.color("body")) >= 4.5, part


@pytest.mark.parametrize("dark", [False, True])
def test_lines_have_enough_contrast(browser, path, dark):
    browser.open(path, dark=dark)
    script = "document.body.className = arguments[0]; return getComputedStyle(document.body).color"
    for number in range(8):
        color = browser.driver.execute_script(script, f"c{number}")
        assert contrast(color, browser.color("body")) >= 3, number


def contrast(one, other):
    """The contrast ratio of two colors (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    parts = [int(n) / 255 for n in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_scrolls_tables_and_never_the_page(browser, path, width):
    browser.open(path, width=width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("[document.querySelector('.scroll')].some((s) => s.scrollWidth > s.clientWidth)")


def test_the_first_column_stays_while_the_table_scrolls(browser, path):
    browser.open(path, width=360)
    left = browser.ask("document.querySelector('#board tbody th').getBoundingClientRect().left")
    browser.driver.execute_script("document.querySelector('.scroll').scrollLeft = 200")
    assert browser.ask("document.querySelector('.scroll').scrollLeft") > 100
    assert browser.ask("document.querySelector('#board tbody th').getBoundingClientRect().left") == left


def test_names_at_curves_do_not_overlap_and_stay_in_the_picture(browser, path):
    browser.open(path)
    for chart in browser.all("section.task .chart"):
        box = chart.rect
        names = [name.rect for name in chart.find_elements("css selector", ".names text")]
        assert names
        assert all(name["x"] + name["width"] <= box["x"] + box["width"] + 1 for name in names)
        tops = sorted(name["y"] for name in names)
        assert all(b - a > 5 for a, b in itertools.pairwise(tops))


def test_on_paper_it_is_light_and_without_controls(browser, path):
    browser.open(path, dark=True, media="print", script=False)
    assert brightness(browser.color("body")) > 200
    assert not browser.element(".controls").is_displayed()
    assert not browser.element("nav").is_displayed()
    assert browser.ask("[...document.querySelectorAll('details > :last-child')].every((d) => d.checkVisibility())")


def test_a_mean_leads_to_its_line(browser, path):
    browser.open(path)
    link = browser.element("#board tbody td a")
    link.click()
    target = browser.ask("document.querySelector('tr:target').id")
    assert link.get_dom_attribute("href") == f"#{target}"


def test_a_row_under_the_pointer_is_highlighted_where_it_is_drawn(browser, path):
    browser.open(path)
    browser.driver.execute_script("""
        const row = document.querySelector('section.task tbody tr');
        row.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));""")
    section = browser.element("section.task")
    assert "hovering" in section.get_dom_attribute("class")
    number = section.find_element("css selector", "tbody tr").get_dom_attribute("data-row")
    marked = {part.get_dom_attribute("data-row") for part in section.find_elements("css selector", ".hovered")}
    assert marked == {number}


def test_a_hostile_name_is_only_a_name(browser, tmp_path):
    file = tmp_path / "hostile.html"
    file.write_text(html(hostile_report()))
    browser.requests(), browser.complaints()
    browser.open(file)
    assert browser.column(OPTIMIZER)[0].startswith("</script>")
    press(browser, FIRST)
    browser.element("#find-row").send_keys("onerror")
    assert browser.column(OPTIMIZER) == [HOSTILE]
    assert browser.ask("document.images.length") == 0
    assert browser.requests() == [file.as_uri()]
    browser.open(file, width=360)
    assert browser.ask("document.documentElement.scrollWidth") <= 360
    assert browser.complaints() == []
