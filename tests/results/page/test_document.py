"""The page as a file: whole, self-contained, deterministic, small, and safe whatever the names are."""

from __future__ import annotations

import html as escaping

import msgspec
import pytest

from optathlon.results import leaderboard_of_records
from optathlon.results.page.document import html
from optathlon.results.page.report import Again, Report, results_of_records
from optathlon.results.papers.ledger import Entry
from optathlon.results.papers.published import Published
from optathlon.results.record import Curve
from optathlon.results.store.run_state import State
from tests.results.make import DIVERGED, Sweep, record, setting
from tests.results.page.reading import Page
from tests.results.page.synthetic import FAR, ROWS, TASKS, outcomes, report_of, sweep

HOSTILE = "</script><img src=http://evil.example/x onerror=alert(1)>"
ASKING = ("src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "manifest", "xlink:href")
PUBLISHED = Published(
    task=TASKS[0], optimizer="sgd", setting={}, metric="accuracy", unit="%", mean=70.47, std=0.4, n=3,
    table="AdamP Table 1", note="printed",
)  # fmt: skip
ENTRY = Entry(published=PUBLISHED, verdict="reproduced", row="sgd", mean=70.0, n=3, difference=-0.47, z=-1.0)


@pytest.fixture(scope="module")
def text():
    """adamp is far better on one task; on another sgdp has a diverged seed, lion three; a seed of adamw is missing."""
    lost = [("sgdp", TASKS[1], 11), *(("lion", TASKS[1], seed) for seed in (10, 11, 12))]
    of = sweep()
    records = outcomes(of, better={("adamp", TASKS[0]): FAR}, diverged=lost, missing=[("adamw", TASKS[2], 12)])
    code = {"version": "0.1.0", "commit": "abcdef0123456789", "tree": "1234"}
    return html(report_of(of, records, entries=[ENTRY], command="optathlon report sweep", code=code))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def page_of(of, records, states=None, **more):
    return Page(html(report_of(of, records, states, **more)))


def test_it_is_well_formed(page):
    assert not page.wrong
    assert not page.open
    assert page.count("h1") == 1


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = page.values("href")
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)


def test_it_asks_for_nothing(page, text):
    assert not [name for name in ASKING if page.values(name)]
    assert not {"link", "iframe", "img", "object", "embed", "base", "audio", "video", "use", "image"} & {
        name for name, _ in page.elements
    }
    assert "http" not in text.replace("http-equiv", "")
    code = "".join(page.code)
    assert not [word for word in ("@import", "url(", "fetch(", "XMLHttpRequest", "import(", "eval(") if word in code]
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def test_no_element_carries_code_or_style(page):
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"
    ]


def test_every_cell_is_there_and_leads_to_its_line(page):
    lines = {a["id"] for t, a in page.elements if t == "tr" and "id" in a}
    cells = [a["href"] for t, a in page.elements if t == "a" and a["href"].removeprefix("#") in lines]
    assert len(cells) == len(set(cells)) == len(lines) == len(ROWS) * len(TASKS)


def test_every_run_and_seed_is_named(text):
    of = sweep()
    shown = [r for r in outcomes(of) if r.seed >= 10 and r.setting["hyperparameters"]["lr"] == 0.1]
    assert len(shown) == len(ROWS) * len(TASKS) * 3
    known = [r.id for r in shown if r.id in text]
    assert len(known) == len(shown) - 1, "all but the one that is missing"
    assert "seed 10" in text


def test_a_verdict_stands_beside_each_difference(page):
    assert "▲ better, p" in page.text
    assert "not separable, p" in page.text
    assert "more seeds each to decide" in page.text
    assert "Holm over all 9 comparisons with sgd in the plan" in page.text


def test_what_is_not_whole_is_shown_as_what_it_is(page):
    assert "1 of 3 seeds diverged: not compared" in page.text
    assert "all 3 seeds diverged" in page.text
    assert "2 of 3 seeds done: not tested" in page.text
    assert "diverged at update 7" in page.text
    assert "Left out, as they lack a task: adamw." in page.text
    assert "2 of 3 tasks" in page.text
    assert "1 to come" in page.text


def test_settings_tried_are_there_with_the_edge(page):
    assert page.text.count(", chosen") == len(ROWS) * len(TASKS)
    assert "lr=0.03: " in page.text
    edged = sweep(rates=(0.1, 0.3))
    assert "on the edge: lr" in page_of(edged, outcomes(edged)).text
    assert "edge of the grid: lr" in page_of(edged, outcomes(edged)).text


def test_the_footer_has_command_and_commit_and_no_clock(page):
    footer = page.text[page.text.index("Written by") :]
    assert "optathlon report sweep" in footer
    assert "optathlon 0.1.0, commit abcdef012345, tree 1234" in footer


def test_the_papers_number_stands_beside_ours(page):
    assert "paper 70.47 ± 0.401" in page.text
    assert "1 beside the paper’s number: reproduced" in page.text
    assert "1 published number beside rows of this board: 1 reproduced." in page.text


def test_the_same_records_give_the_same_bytes(text):
    of = sweep()
    records = outcomes(of, points=10)
    once = html(report_of(of, records))
    assert once == html(report_of(sweep(), list(reversed(records))))
    assert text != once


def test_at_most_eight_rows_are_colored(page):
    planned = sweep([f"optimizer{i}" for i in range(12)], tasks=TASKS[:2], baseline="optimizer3", tune=())
    page_of_twelve = page_of(planned, outcomes(planned))
    swatches = [a["class"] for t, a in page_of_twelve.elements if t == "svg" and "swatch" in a.get("class", "")]
    assert len({s for s in swatches if s != "swatch cx"}) == 8
    assert swatches.count("swatch cx") == 4 * 3
    baseline = [a for t, a in page_of_twelve.elements if t == "g" and a.get("class") == "c0"]
    assert {a["data-row"] for a in baseline} == {"4"}


def test_a_row_to_highlight_is_colored_whatever_its_rank():
    of = sweep([f"optimizer{i}" for i in range(12)], tasks=TASKS[:2], baseline="optimizer3", tune=())
    records = outcomes(of, better={("optimizer7", task): -FAR for task in TASKS[:2]})
    assert "optimizer7" not in report_of(of, records).colors
    assert report_of(of, records, highlight=["optimizer7"]).colors["optimizer7"] == 1


def test_what_takes_more_words_is_a_footnote_of_the_board():
    edged = sweep(rates=(0.1, 0.3))
    text = html(report_of(edged, outcomes(edged, missing=[("lion", TASKS[0], 11)])))
    board, below = text[text.index('id="board"') :].split("</table>", 1)
    assert board.count('<sup title="chosen on the edge of what was tried: lr">1</sup>') == len(ROWS) * len(TASKS) - 1
    assert "edge of" not in board.replace('title="chosen on the edge', "").replace("; chosen on the edge", "")
    assert "<li><sup>1</sup> chosen on the edge of what was tried: lr</li>" in below
    assert ">1,2</sup>" in board
    assert "<li><sup>2</sup> 2 of 3 seeds done; not ranked</li>" in below


def test_a_cells_command_is_there_with_the_seeds_of_its_other_runs():
    of = sweep(tune=())
    page = page_of(
        of, outcomes(of, points=5), commands={("sgd", TASKS[0]): [Again("optathlon run a sgd --seed 10", [11, 12])]}
    )
    assert "Commands that make the runs again" in page.text
    assert "optathlon run a sgd --seed 10; --seed 11 and 12 for the others" in page.text
    assert "Commands that make" not in page_of(of, outcomes(of, points=5)).text


def hostile_report():
    rows = {HOSTILE: [setting(HOSTILE, lr=0.1)], "sgd": [setting("sgd", **{HOSTILE: HOSTILE, "inf": float("inf")})]}
    planned = Sweep(rows, tasks=[HOSTILE, "'\"&"], baseline=HOSTILE)
    columns = [msgspec.structs.replace(c, unit=HOSTILE) for c in planned.plan.head.columns]
    noted = [msgspec.structs.replace(r, notes=[HOSTILE]) for r in planned.plan.head.rows]
    head = msgspec.structs.replace(planned.plan.head, name=HOSTILE, columns=columns, rows=noted, scale=HOSTILE)
    planned.plan = msgspec.structs.replace(planned.plan, head=head)
    missing = planned.plan.runs[-1].id
    records = []
    for run in planned.plan.runs:
        made = planned.record(run, 50.0 + run.seed, curve=Curve(unit=HOSTILE, points={HOSTILE: [(1.0, 2.0)]}))
        scores = [msgspec.structs.replace(score, unit=HOSTILE) for score in made.scores]
        provenance = {
            "code": {"tree": HOSTILE, "commit": HOSTILE},
            "machine": {"device": HOSTILE},
            "versions": {HOSTILE: "1"},
        }
        records.append(msgspec.structs.replace(made, scores=scores, provenance=provenance))
    records = [r for r in records if r.id != missing]
    states = {missing: State(kind="failed", reason=HOSTILE * 20)}
    return report_of(planned, records, states, problems=[HOSTILE], command=HOSTILE, code={"version": HOSTILE})


def test_names_from_outside_stay_text():
    text = html(hostile_report())
    page = Page(text)
    assert not page.wrong
    assert not page.open
    assert HOSTILE not in text
    assert escaping.escape(HOSTILE) in text
    assert {name for name, _ in page.elements}.isdisjoint({"img", "iframe"})
    assert page.count("script") == 1
    assert len(page.values("id")) == len(set(page.values("id")))
    assert "1 run failed" in page.text


@pytest.mark.parametrize("value", [1e150, -1e150, 1e-308, 0.0])
def test_absurd_scores_do_not_break_it(value):
    planned = sweep(tasks=TASKS[:2], tune=(), rows=ROWS[:2])
    points = {"validation/accuracy": [(1.0, value), (2.0, -value), (3.0, None)], "train/loss": [(1.0, value)]}
    records = [planned.record(r, value if r.row == "sgd" else 1.0, curve=Curve(unit="epochs", points=points))
               for r in planned.plan.runs]  # fmt: skip
    page = page_of(planned, records)
    assert not page.wrong
    assert len(page.text) < 20_000
    assert "nan" not in " ".join(page.values("d"))
    assert "inf" not in " ".join(page.values("d"))


def test_scores_that_are_not_finite_have_diverged():
    of = sweep(tasks=TASKS[:1], tune=(), rows=ROWS[:2])
    records = [of.record(r, float("inf") if r.row == "sgdp" else 50.0 + r.seed) for r in of.plan.runs]
    assert "all 3 seeds diverged" in page_of(of, records).text


def test_a_sweep_without_any_record_is_still_a_page():
    of = sweep()
    page = page_of(of, [])
    assert not page.wrong
    assert page.text.count("not run yet") == 2 * len(ROWS) * len(TASKS)
    assert "0 runs done" in page.text


def test_records_without_a_plan_are_a_page_without_comparisons():
    records = [
        record(60.0 + seed, of_setting=setting(name), seed=seed) for name in ("sgd", "adam") for seed in range(3)
    ]
    view = results_of_records(leaderboard_of_records(records), records)
    page = Page(html(Report(view, view.records)))
    assert not page.wrong
    assert "There is no baseline" in page.text
    assert "61.00" in page.text
    assert "better" not in page.text[: page.text.index("How each figure is computed", 600)].replace("is better", "")


def test_one_task_and_one_row_are_enough():
    of = sweep(ROWS[:1], TASKS[:1], tune=(), report=(0,))
    page = page_of(of, outcomes(of))
    assert not page.wrong
    assert "Nothing is said over tasks" in page.text


def test_runs_that_ended_at_different_lengths_draw():
    planned = sweep(ROWS[:3], TASKS[:1], tune=())
    short = {"validation/accuracy": [(float(t), 60.0 + t) for t in range(1, 6)]}
    records = [
        msgspec.structs.replace(r, curve=Curve(unit="epochs", points=short)) if r.setting["optimizer"] == "adamw" else r
        for r in outcomes(planned)
    ]
    assert not page_of(planned, records).wrong


def test_unread_files_are_named():
    of = sweep(tune=())
    page = page_of(
        of, outcomes(of, points=5), problems=["records/ab/abcd.json: truncated", "records/cd/cdef.json: newer"]
    )
    assert "2 files of the store left out" in page.text
    assert "records/ab/abcd.json: truncated" in page.text


@pytest.mark.slow
def test_fourteen_tasks_by_twelve_optimizers_with_curves_stay_below_500_kb():
    of = sweep(["sgd", *(f"optimizer{i}" for i in range(11))], [f"some-long-task-{i}" for i in range(14)])
    text = html(report_of(of, outcomes(of, points=100)))
    page = Page(text)
    assert len(text.encode()) < 500_000
    assert page.count("tr", class_="partial") == 0
    assert len({a["id"] for t, a in page.elements if t == "tr" and "id" in a}) == 14 * 12
    assert page.count("path", class_="line") >= 2 * 14 * 11


def test_a_diverged_row_is_last_and_its_curve_ends():
    of = sweep(ROWS[:3], TASKS[:2], tune=())
    lost = [("adamw", TASKS[0], seed) for seed in (10, 11, 12)]
    page = page_of(of, outcomes(of, diverged=lost))
    assert DIVERGED in page.text
    assert "adamw ✕" in page.text
