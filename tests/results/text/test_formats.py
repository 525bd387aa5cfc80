"""One computed board, many writers; each says n, direction, what is missing, and on which data."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess

import msgspec
import pytest
from markdown_it import MarkdownIt

from optathlon.results import leaderboard, leaderboard_of_records, render
from optathlon.results.board.model import Leaderboard
from optathlon.results.readable import one_line
from optathlon.results.text.columns import cells
from optathlon.results.text.latex import escaped
from tests.results.make import DIVERGED, Sweep, counted, problem, record, setting

VALUES = {
    ("sgd", "mnist"): [70.0, 71.0, 70.5],
    ("adam", "mnist"): [70.5, 70.25, 71.0],
    ("adamp", "mnist"): [70.0, None, 71.0],
    ("lion", "mnist"): [70.0, 71.0, DIVERGED],
    ("sgd", "ptb"): [60.0, 61.0, 62.0],
    ("adam", "ptb"): [61.0, 61.0, 60.998],
    ("lion", "ptb"): [DIVERGED] * 3,
}
TABLE = """\
optimizer    mnist [smoke, standin-1]  ptb [smoke, standin-1]  mean rank
                  test/accuracy (%) ↑     test/accuracy (%) ↑
---------  --------------------------  ----------------------  ---------
sgd                    70.50 ± 0.50 ≈          61.00 ± 1.00 *       1.50
adam           70.58 (+0.08) ± 0.38 *  61.00 (+0.00) ± 0.00 ≈       1.50
lion ¹             70.50 ± 0.71 2/3 ²              diverged ³       3.00
---------  --------------------------  ----------------------  ---------
adamp      70.50 (+0.00) ± 0.71 2/3 ⁴                     – ⁵        0/2
---------  --------------------------  ----------------------  ---------
sweep: mean (difference to sgd) ± sample standard deviation (ddof = 1) over n = 3 seeds; * best
† shown to differ from sgd: p < 0.05 by the moderated t test (docs/statistics.md), Holm over all 2 \
comparisons with it in the plan (4 rows, 2 tasks); none is
≈ not shown to be worse than the best of its column: all pairs of the column together, by the moderated t test \
(docs/statistics.md)
mean rank over all 2 tasks, among rows with all their seeds in each; below the line, how many the others have
¹ protocol differs: epochs = 92
² 1 of 3 seeds diverged; ranked after the others
³ 3 of 3 seeds diverged; ranked last
⁴ 2 of 3 seeds done; not ranked
⁵ 0 of 3 seeds done; not ranked
"""
MARKDOWN = """\
| optimizer | mnist [smoke, standin-1]<br>test/accuracy (%) ↑ | ptb [smoke, standin-1]<br>test/accuracy (%) ↑ | mean rank |
| :-- | --: | --: | --: |
| sgd | 70.50 ± 0.50 ≈ | **61.00 ± 1.00** | 1.50 |
| adam | **70.58 (+0.08) ± 0.38** | 61.00 (+0.00) ± 0.00 ≈ | 1.50 |
| lion ¹ | 70.50 ± 0.71 2/3 ² | diverged ³ | 3.00 |
| adamp | 70.50 (+0.00) ± 0.71 2/3 ⁴ | – ⁵ | 0/2 |

sweep: mean (difference to sgd) ± sample standard deviation (ddof = 1) over n = 3 seeds

† shown to differ from sgd: p < 0.05 by the moderated t test (docs/statistics.md), Holm over all 2 comparisons with it in the plan (4 rows, 2 tasks); none is

≈ not shown to be worse than the best of its column: all pairs of the column together, by the moderated t test (docs/statistics.md)

mean rank over all 2 tasks, among rows with all their seeds in each; below the line, how many the others have

¹ protocol differs: epochs = 92<br>
² 1 of 3 seeds diverged; ranked after the others<br>
³ 3 of 3 seeds diverged; ranked last<br>
⁴ 2 of 3 seeds done; not ranked<br>
⁵ 0 of 3 seeds done; not ranked<br>
"""  # noqa: E501
LONG = """\
task,label,metric,unit,direction,row,optimizer,status,rank,best,tied,mean,mean_lo,mean_hi,std,ddof,n,n_planned,n_diverged,n_failed,min,max,delta,delta_lo,delta_hi,p,p_holm,baseline,setting_id,settings_tried,edge,runs,notes,p_welch,mean_shrunk,untested,winners,claim,tuning_std,decided_at,kind,lr
mnist,"mnist [smoke, standin-1]",test/accuracy,%,higher,sgd,sgd,complete,2.0,false,true,70.5,69.25793114412484,71.74206885587516,0.5,1,3,3,0,0,70.0,71.0,,,,,,sgd,SETTING,1,,RUNS,,,70.5,,1,,,,optimizer,0.1
ptb,"ptb [smoke, standin-1]",test/accuracy,%,higher,sgd,sgd,complete,1.0,true,true,61.0,58.51586228824967,63.48413771175033,1.0,1,3,3,0,0,60.0,62.0,,,,,,sgd,SETTING,1,,RUNS,,,61.0,,1,,,,optimizer,0.1
mnist,"mnist [smoke, standin-1]",test/accuracy,%,higher,adam,adam,complete,1.0,true,true,70.58333333333333,69.63468757493413,71.53197909173252,0.38188130791298663,1,3,3,0,0,70.25,71.0,0.0833333333333286,LOW,HIGH,P,1.0,sgd,SETTING,1,,RUNS,,WELCH,70.58333333333333,,1,these settings,,,optimizer,0.1
"""  # noqa: E501
WIDE = """\
row,optimizer,"mnist [smoke, standin-1] test/accuracy","mnist [smoke, standin-1] test/accuracy std","mnist [smoke, standin-1] test/accuracy n","mnist [smoke, standin-1] test/accuracy status",mean_rank,kind
sgd,sgd,70.5,0.5,3,complete,2.0,optimizer
adam,adam,70.58333333333333,0.38188130791298663,3,complete,1.0,optimizer
adamp,adamp,70.5,0.7071067811865476,2,incomplete,,optimizer
lion,lion,70.5,0.7071067811865476,2,complete,3.0,optimizer
"""  # noqa: E501


LATEX = r"""
\begin{tabular}{lrrr}
\toprule
Optimizer & mnist [smoke, standin-1] & ptb [smoke, standin-1] & mean rank \\
 & test/accuracy (\%) $\uparrow$ & test/accuracy (\%) $\uparrow$ &  \\
\midrule
sgd & \underline{70.50} $\pm$ 0.50 & \textbf{61.00} $\pm$ 1.00 & 1.50 \\
adam & \textbf{70.58} {\scriptsize(+0.08)} $\pm$ 0.38 & \underline{61.00} {\scriptsize(+0.00)} $\pm$ 0.00 & 1.50 \\
lion\textsuperscript{1} & 70.50 $\pm$ 0.71 2/3\textsuperscript{2} & diverged\textsuperscript{3} & 3.00 \\
\midrule
adamp & 70.50 {\scriptsize(+0.00)} $\pm$ 0.71 2/3\textsuperscript{4} & --\textsuperscript{5} & 0/2 \\
\bottomrule
\end{tabular}
"""


def make(tasks=("mnist", "ptb"), digits=2, values=VALUES, **options):
    rows = {name: [setting(name, lr=0.1)] for name in ("sgd", "adam", "adamp", "lion")}
    sweep = Sweep(rows, tasks=tasks, baseline="sgd", **options)
    source = {cell: counted(*v) for cell, v in values.items()}
    records = sweep.records(lambda r: source.get((r.row, r.column), lambda _: None)(r))
    head = msgspec.structs.replace(
        sweep.plan.head,
        rows=[msgspec.structs.replace(r, notes=["protocol differs: epochs = 92"] * (r.name == "lion"))
              for r in sweep.plan.head.rows],
        columns=[msgspec.structs.replace(c, digits=digits) for c in sweep.plan.head.columns],
    )  # fmt: skip
    return leaderboard(msgspec.structs.replace(sweep.plan, head=head), records)


@pytest.fixture
def board():
    return make()


def parsed(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_terminals_table(board):
    assert render(board) == render(board, "table") == TABLE


def test_markdown(board):
    assert render(board, "md") == MARKDOWN


def test_latex_is_a_tabular_after_its_caption_in_comments(board):
    lines = render(board, "latex").splitlines(keepends=True)
    comments = [line for line in lines if line.startswith("%")]
    assert "".join(lines[len(comments) :]) == LATEX.lstrip()
    assert comments[0].startswith("% sweep: mean (difference to sgd) ± sample standard deviation")
    assert comments[-1] == "% 5: 0 of 3 seeds done; not ranked\n"


def test_latex_escapes_what_it_would_read():
    row = render(leaderboard_of_records([record(0.5, of_setting=setting("a_b&c%d#{e}$f~g^h\\\ni"))]), "latex")
    expected = r"a\_b\&c\%d\#\{e\}\$f\textasciitilde{}g\textasciicircum{}h\textbackslash{}"
    assert expected in row


def test_a_difference_that_is_proven_has_a_dagger_in_every_format_for_people():
    values = {
        ("sgd", "mnist"): [60.0, 60.1, 59.9],
        ("adam", "mnist"): [70.0, 70.1, 69.9],
        ("lion", "mnist"): [60.0, 60.05, 60.1],
    }
    board = make(tasks=["mnist"], values=values)
    assert "70.00 (+10.00)† ± 0.10 *" in render(board)
    assert "**70.00 (+10.00)† ± 0.10**" in render(board, "md")
    assert r"\textbf{70.00} {\scriptsize(+10.00)$^{\dagger}$} $\pm$ 0.10" in render(board, "latex")
    assert "60.05 (+0.05) ± 0.05" in render(board)
    assert "Holm over all 2 comparisons" in render(board)
    assert "none is" not in render(board)


def test_one_seed_proves_nothing_and_says_so():
    values = {("sgd", "mnist"): [60.0], ("adam", "mnist"): [70.0], ("lion", "mnist"): [65.0]}
    table = render(make(tasks=["mnist"], values=values, report=[0]))
    assert "no difference is tested: one seed" in table
    assert "†" not in table
    assert "≈" not in table


def test_the_long_csv(board):
    lines = render(board, "csv")
    for line in parsed(lines):
        for name, value in (("SETTING", line["setting_id"]), ("RUNS", line["runs"])):
            lines = lines.replace(value, name) if value else lines
    # Other machines sum in another order: the last digits of what is computed by NumPy are theirs.
    cell = board.cell("adam", "mnist")
    for name, value in (("LOW", cell.delta_lo), ("HIGH", cell.delta_hi), ("P", cell.p), ("WELCH", cell.p_welch)):
        lines = lines.replace(f",{value!r},", f",{name},")
    assert lines.startswith(LONG)
    assert len(lines.splitlines()) == 1 + 4 * 2


def test_the_wide_csv():
    assert render(make(tasks=["mnist"]), "wide") == WIDE


def test_the_long_csv_gives_back_every_number_exactly(board):
    lines = parsed(render(board, "csv"))
    cells = [cell for row in board.rows for cell in row.cells]
    for line, cell in zip(lines, cells, strict=True):
        for name in ("mean", "std", "min", "max", "delta", "delta_lo", "delta_hi", "p", "p_holm", "rank"):
            assert (float(line[name]) if line[name] else None) == getattr(cell, name)
        for name in ("n", "n_planned", "n_diverged", "n_failed", "settings_tried"):
            assert int(line[name]) == getattr(cell, name)
        assert line["runs"].split(";") == cell.runs or not cell.runs
    assert "±" not in render(board, "csv")
    assert "\r" not in render(board, "csv") + render(board, "wide")


def test_json_is_the_whole_board_with_its_schema(board):
    values = json.loads(render(board, "json"))
    assert values["schema"] == 1
    assert msgspec.convert(values, Leaderboard) == board


def test_bold_on_a_terminal_keeps_the_columns_aligned(board):
    colored = render(board, color=True)
    assert colored.count("\x1b[1m") == colored.count("\x1b[0m") == 2
    plain = colored.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert len({len(line) for line in plain.splitlines()[2:8]}) == 1
    assert plain == render(board)


@pytest.mark.parametrize("format", ["table", "md", "csv", "wide", "latex", "json"])
def test_data_that_is_not_the_papers_is_named_in_every_format(board, format):
    assert "mnist [smoke, standin-1]" in render(board, format)


def test_the_papers_scale_on_official_data_needs_no_mark():
    assert "[" not in render(make(scale="paper"), "table")


def test_lower_is_better_points_down():
    columns = [msgspec.structs.replace(c, higher_is_better=False, unit="") for c in make().columns]
    board = msgspec.structs.replace(make(), columns=columns)
    assert "test/accuracy ↓" in render(board, "md")
    assert parsed(render(board, "csv"))[0]["direction"] == "lower"


def test_a_difference_is_rounded_from_unrounded_means_and_never_minus_zero():
    values = {("sgd", "mnist"): [0.1249] * 3, ("adam", "mnist"): [0.1251] * 3, ("lion", "mnist"): [0.1248] * 3}
    table = render(make(tasks=["mnist"], values=values), "table")
    assert "0.13 (+0.00)" in table
    assert "0.12 (+0.00)" in table
    assert "-0.00" not in table


def test_digits_are_the_columns():
    assert "70.5833 (+0.0833) ± 0.3819" in render(make(digits=4))


def test_seed_counts_that_differ_are_shown_in_the_cells():
    few, many = setting("sgd"), setting("adam")
    records = [record(0.5, of_setting=few, seed=s) for s in range(2)]
    records += [record(0.6, of_setting=many, seed=s) for s in range(5)]
    table = render(leaderboard_of_records(records))
    assert "0.50 ± 0.00 n=2" in table
    assert "0.60 ± 0.00 n=5" in table
    assert "over n seeds" in table


def test_names_are_escaped_where_a_format_needs_it():
    board = leaderboard_of_records([record(0.5, of_setting=setting('a|b,"c"'))])
    assert '| a\\|b,"c" |' in render(board, "md")
    assert parsed(render(board, "csv"))[0]["row"] == 'a|b,"c"'


@pytest.mark.parametrize("format", ["table", "md", "latex"])
def test_a_name_neither_breaks_a_line_nor_speaks_to_the_terminal(format):
    board = leaderboard_of_records([record(0.5, of_setting=setting("a\nb\x1b[31m\u202ec"))])
    lines = render(board, format).splitlines()
    assert len(lines) == len(render(leaderboard_of_records([record(0.5)]), format).splitlines())
    shown = "a?b?[31m?c" if format == "latex" else "a\ufffdb\ufffd[31m\ufffdc"
    assert any(shown in line for line in lines)


def test_markdown_shows_names_to_the_letter():
    text = render(leaderboard_of_records([record(0.5, of_setting=setting("*a* `b` <i> [c](d) \\e"))]), "md")
    assert r"\*a\* \`b\` \<i> [c]\(d) \\e" in text


def test_latex_has_greek_letters_and_no_row_that_would_be_an_argument():
    text = render(leaderboard_of_records([record(0.5, of_setting=setting("[ρ] <λ|"))]), "latex")
    assert r"{}[$\rho$] \textless{}$\lambda$\textbar{} &" in text


@pytest.mark.parametrize("name", ['=HYPERLINK("x")', "@a", "+1", "-1", "\uff1d1", "\uff20a", "\uff0b1", "\uff0d1"])
def test_a_spreadsheet_carries_no_name_out_and_the_long_csv_changes_none(name):
    board = leaderboard_of_records([record(-0.5, of_setting=setting(name))])
    (line,) = parsed(render(board, "wide"))
    assert (line["row"], line["optimizer"], line["mnist [smoke] test/accuracy"]) == (f"'{name}", f"'{name}", "-0.5")
    assert parsed(render(board, "csv"))[0]["row"] == name


HOSTILE = [
    "\\input{/etc/passwd}", "a_b^c~d&e%f$g#h{i}j", "[1] *2", "\\\\[3cm]", "100% pure", "<a|b>", "--x `y' ''z''",
    "Größe ÅÉñ", "ąđłŧ «x»", "优化器", "최적화", "e\u0301\u0323 x\u0338", "\u05d0\u05d1 \u0627", "😀 ❤\ufe0f", "β ∇ ≠",
    "a\nb\tc\x1b[31m", "\u202eevil", "z\u200be\u200dr\ufeffo", "$x_1$ \\$", "^^M ^^5c", "% \\end{tabular}", "\\fi",
]  # fmt: skip


def hostile_board():
    records = [record(0.1 * at, of_setting=setting(name), seed=s) for at, name in enumerate(HOSTILE) for s in (0, 1)]
    records += [record(0.5, of_problem=problem(name)) for name in HOSTILE[:4]]
    return leaderboard_of_records(records)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("pdflatex") or os.environ.get("OPTATHLON_CI")), reason="needs pdfLaTeX")
def test_a_board_of_hostile_names_compiles_without_an_error(tmp_path):
    begin = "\\documentclass{article}\\usepackage[paperwidth=200cm]{geometry}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "board.tex").write_text(f"{begin}{render(hostile_board(), 'latex')}\\end{{document}}\n")
    words = ["pdflatex", "-halt-on-error", "-no-shell-escape", "-interaction=nonstopmode", "board.tex"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
    said = ran.stdout.decode(errors="replace")
    assert ran.returncode == 0, said[-2000:]
    assert "Missing character" not in said


def test_latex_sets_what_pdflatex_can_and_names_the_rest():
    assert escaped("e\u0301 Größe") == "é Größe"
    assert escaped("优") == r"\ifdefined\Umathchar 优\else(U+4F18)\fi{}"
    assert escaped("--a---b") == "-{}-a-{}-{}-b"
    assert escaped("`q' {x}") == r"\textasciigrave{}q\textquotesingle{} \{x\}"


@pytest.mark.parametrize("name", [*HOSTILE, "__init__", "_a_", "a__b", "~~x~~", "&lt;", "$a$", "![x](y)", "a_ _b"])
def test_markdown_shows_every_name_to_the_letter(name):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    board = leaderboard_of_records([record(0.5, of_setting=setting(name))])
    shown = next(t for t in parser.parse(render(board, "md")) if t.type == "inline" and t.map == [2, 3])
    assert {child.type for child in shown.children} == {"text"}
    assert "".join(child.content for child in shown.children).split() == one_line(name).split()


def test_columns_line_up_under_wide_and_combining_characters():
    names = ["优化器", "e\u0301\u0323x", "plain", "ﾊﾝｶｸ"]
    table = render(leaderboard_of_records([record(0.5, of_setting=setting(name)) for name in names]), "table")
    lines = [line for line in table.splitlines() if "0.50" in line]
    assert {cells(line) for line in lines} == {cells(lines[0])}
    assert {cells(line.partition("0.50")[0]) for line in lines} == {cells(lines[0].partition("0.50")[0])}
    assert [cells(name) for name in names] == [6, 2, 5, 4]


def test_json_holds_every_character_and_none_that_acts_on_a_terminal():
    name = "优\x9b31m\u202e\u200b\x7f"
    text = render(leaderboard_of_records([record(0.5, of_setting=setting(name))]), "json")
    assert json.loads(text)["rows"][0]["name"] == name
    assert text.replace("\n", "").isprintable()


def test_hyperparameters_of_all_rows_have_their_columns():
    sgd = setting("sgd", lr=0.1, n=3, nesterov=True)
    adam = setting("adam", betas=[0.9, 0.999], **{"gain.projection": "off"})
    lines = parsed(render(leaderboard_of_records([record(of_setting=s) for s in (sgd, adam)]), "csv"))
    assert [line["row"] for line in lines] == ["adam", "sgd"]
    assert [line["betas"] for line in lines] == ["[0.9, 0.999]", ""]
    assert [line["gain.projection"] for line in lines] == ["off", ""]
    assert [line["hyperparameter.n"] for line in lines] == ["", "3"]
    assert [line["nesterov"] for line in lines] == ["", "true"]
    assert [line["n"] for line in lines] == ["1", "1"]


@pytest.mark.parametrize("format", ["table", "md", "csv", "wide", "latex", "json"])
def test_an_empty_board_is_still_a_document(format):
    assert render(leaderboard_of_records([]), format).endswith("\n")


def test_an_unknown_format_is_refused_with_those_there_are(board):
    with pytest.raises(ValueError, match="'html': must be one of csv, wide, md, latex, json, table"):
        render(board, "html")


def test_a_minus_in_latex_is_a_minus():
    """A hyphen is what LaTeX sets for "-" in text; in math it is a minus."""
    cells = [line for line in render(make(), "latex").splitlines() if r"\scriptsize" in line]
    assert cells
    below = msgspec.structs.replace(make().rows[0].cells[0], mean=-1.5, delta=-0.25)
    row = msgspec.structs.replace(make().rows[1], cells=[below, make().rows[1].cells[1]])
    text = render(msgspec.structs.replace(make(), rows=[row]), "latex")
    assert "$-$1.50" in text
    assert "($-$0.25)" in text


@pytest.mark.parametrize("kind", ["table", "md", "latex"])
def test_where_the_best_has_no_spread_it_is_said_that_no_row_is_shown_to_be_worse(kind):
    sweep = Sweep({name: [setting(name)] for name in ("sgd", "adam")}, tasks=("mnist", "ptb"), baseline="sgd")
    flat = {("sgd", "mnist"): 100.0}
    records = sweep.records(lambda run: flat.get((run.row, run.column), 60.0 + run.seed % 7 * 1.37))
    text = " ".join(render(leaderboard(sweep.plan, records), kind).split())
    assert "where the best has no spread" in text
    spread = sweep.records(lambda run: 60.0 + run.seed % 7 * 1.37)
    assert "no spread" not in render(leaderboard(sweep.plan, spread), kind)
