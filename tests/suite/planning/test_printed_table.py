"""The [table] of a sweep file: what it may say, and what is caught before anything is written."""

from __future__ import annotations

import pytest

from optathlon.results.plan import TableColumn, TableCurve, TableRow
from optathlon.suite.errors import SweepError
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand

HEAD = """
name = "biased"
scale = "smoke"
tasks = ["biased-mnist-0.999", "biased-mnist-0.990", "ptb-awd-lstm"]
seeds = [0, 1]
[[optimizer]]
name = "adamw"
grid.lr = [1e-3, 1e-2]
[[optimizer]]
name = "adamp"
fixed.lr = 1e-3
"""


def planned(tmp_path, text):
    path = tmp_path / "sweep.toml"
    path.write_text(HEAD + text)
    return expand(sweep_reader.load(path), tmp_path / "data")


def test_columns_rows_labels_and_digits(tmp_path):
    plan = planned(
        tmp_path,
        """
        [table]
        digits = 1
        rows = [{row = "adamw lr=0.001", label = "AdamW"}, "adamp"]
        columns = ["ptb-awd-lstm", {task = "biased-mnist-0.999", metric = "biased", digits = 3},
                   {mean = ["biased-mnist-*"], label = "Avg."}]
        """,
    )
    table = plan.head.table
    assert table.rows == [TableRow(label="AdamW", row="adamw lr=0.001"), TableRow(label="adamp", row="adamp")]
    perplexity, biased, mean = table.columns
    assert (perplexity.of, perplexity.metric, perplexity.higher_is_better) == (
        ["ptb-awd-lstm"],
        "test/perplexity",
        False,
    )
    assert (biased.metric, biased.digits, perplexity.digits) == ("test/biased", 3, 1)
    assert isinstance(mean, TableColumn)
    assert (mean.of, mean.metric, mean.unit) == (["biased-mnist-0.999", "biased-mnist-0.990"], "test/unbiased", "%")


def test_no_label_hides_that_the_data_or_the_scale_are_not_the_papers(tmp_path):
    plan = planned(tmp_path, '[table]\ncolumns = [{mean = ["biased-mnist-*"], label = "Avg."}, "ptb-awd-lstm"]')
    marks = [column.label.partition(" [")[2] for column in plan.head.columns]
    assert all(marks)
    assert [column.label for column in plan.head.table.columns] == [f"Avg. [{marks[0]}", f"ptb-awd-lstm [{marks[2]}"]


def test_what_is_not_said_is_everything(tmp_path):
    plan = planned(tmp_path, "[table]\ndigits = 3")
    assert [column.of for column in plan.head.table.columns] == [[column.name] for column in plan.head.columns]
    assert [row.row for row in plan.head.table.rows] == [row.name for row in plan.head.rows]


def test_a_table_changes_the_plan_and_no_run(tmp_path):
    bare, laid_out = planned(tmp_path, ""), planned(tmp_path, "[table]\ndigits = 3")
    assert bare.head.digest != laid_out.head.digest
    assert bare.runs == laid_out.runs
    assert not bare.head.table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('colums = ["ptb-awd-lstm"]', r"table.colums: unknown \(did you mean columns\?\)"),
        ("columns = []", "table.columns: must be a list with at least one entry"),
        ('columns = ["ptb"]', r"table.columns\[0\].task: 'ptb' is none of this sweep's tasks"),
        ('columns = [{task = "ptb-awd-lstm", mean = ["a"]}]', r"table.columns\[0\]: must be a task"),
        ('columns = [{label = "x"}]', r"table.columns\[0\]: must be a task"),
        ('columns = [{task = "ptb-awd-lstm", metric = "acuracy"}]', r"columns\[0\].metric: 'acuracy' is none of"),
        ('columns = [{task = "ptb-awd-lstm", metric = ["loss"]}]', r"columns\[0\].metric: \['loss'\] is none of"),
        ("columns = [3]", r"table.columns\[0\]: must be a task"),
        ("columns = [{mean = [3]}]", r"columns\[0\].mean: 3 is none of this sweep's tasks"),
        ("rows = [{row = 3}]", r"rows\[0\].row: there is no row 3"),
        ('rows = [{row = "adamp", label = "a\\u202e"}]', r"rows\[0\].label: must be text on one line"),
        ('columns = [{task = "ptb-awd-lstm", digits = -1}]', r"columns\[0\].digits: must be a whole number"),
        ('columns = [{task = "ptb-awd-lstm", label = 3}]', r"columns\[0\].label: must be text"),
        ('columns = [{mean = "ptb-awd-lstm"}]', r"columns\[0\].mean: must be a list of tasks"),
        ('columns = [{mean = ["mnist*"]}]', r"columns\[0\].mean: 'mnist\*' is none of"),
        ('columns = [{mean = ["biased-mnist-0.999", "ptb-awd-lstm"]}]', "is none of ptb-awd-lstm's metrics"),
        ('rows = ["adamw"]', r"rows\[0\].row: there is no row 'adamw' \(its settings are rows: adamw lr="),
        ('rows = ["adamp", {row = "adamw lr=0.01", label = "adamp"}]', "table.rows: 'adamp' stands twice"),
        ("digits = 1.5", "table.digits: must be a whole number"),
    ],
)
def test_a_mistake_names_field_and_value(tmp_path, text, said):
    with pytest.raises(SweepError, match=said):
        planned(tmp_path, f"[table]\n{text}")


def test_a_table_that_is_none_is_refused(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("table = 3\n" + HEAD)
    with pytest.raises(SweepError, match="table: must be a table"):
        sweep_reader.load(path)


def test_a_column_is_taken_from_a_curve_and_a_table_turned_round(tmp_path):
    plan = planned(
        tmp_path,
        """
        [table]
        across = "optimizers"
        published = "AdaRem Table 3"
        columns = [{task = "ptb-awd-lstm", curve = "model/weight_norm", at = 1, metric = "norm_first", digits = 1},
                   {task = "ptb-awd-lstm", curve = "model/d/{lr}", at = "mean", factor = 100, metric = "share", \
unit = "%", higher_is_better = true, label = "Share"}]
        """,
    )
    table = plan.head.table
    norm, share = table.columns
    assert (table.across, table.published) == ("optimizers", "AdaRem Table 3")
    assert (norm.metric, norm.unit, norm.higher_is_better, norm.digits) == ("training/norm_first", "", False, 1)
    assert norm.curve == TableCurve(name="model/weight_norm", at=1.0, factor=1.0)
    assert (share.unit, share.higher_is_better, share.curve) == (
        "%", True, TableCurve(name="model/d/{lr}", at="mean", factor=100.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('across = "rows"', 'table.across: must be "tasks" or "optimizers", not \'rows\''),
        ('published = "AdaRem Table 33"', r"'AdaRem Table 33' is no table of published numbers \(did you mean AdaRem"),
        ('columns = [{curve = "a/b", metric = "m"}]', r"columns\[0\]: must be a task"),
        ('columns = [{task = "ptb-awd-lstm", curve = "a/b"}]', r"columns\[0\].metric: must be a name, not None"),
        ('columns = [{task = "ptb-awd-lstm", curve = 3, metric = "m"}]', r"columns\[0\].curve: must be a name, not 3"),
        (
            'columns = [{task = "ptb-awd-lstm", curve = "a", metric = "m", at = "end"}]',
            'at: must be a time, "last" or',
        ),
        ('columns = [{task = "ptb-awd-lstm", curve = "a", metric = "m", factor = true}]', "factor: must be a number"),
        ('columns = [{task = "ptb-awd-lstm", curve = "a", metric = "m", means = []}]', r"columns\[0\].means: unknown"),
        ('columns = [{task = "ptb-awd-lstm", curve = "a", metric = "m", unit = 3}]', "and unit text"),
    ],
)
def test_a_mistake_in_a_papers_layout_names_field_and_value(tmp_path, text, said):
    with pytest.raises(SweepError, match=said):
        planned(tmp_path, f"[table]\n{text}")
