"""The command line as a user meets it: each call is a process of its own."""

from __future__ import annotations

import csv
import errno
import html
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from optathlon.results import Store
from optathlon.suite import main
from tests.results.make import Sweep, setting
from tests.suite.sweeps import SWEEP, command, environment, optathlon, wait_until_in_a_run, write
from tests.waiting import wait_for, wait_for_line


def document(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """A folder with a sweep launched to its end."""
    folder = tmp_path_factory.mktemp("launched")
    write(folder)
    done = optathlon(folder, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "words", [["--help"], ["launch", "--help"], ["list", "tasks"], ["list", "optimizers"], ["show", "adamp"]]
)
def test_help_and_lists_import_no_heavy_package(words, tmp_path):
    code = (
        "import sys; from optathlon.suite.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'submitit', 'pandas', 'scipy', 'rich'} & sys.modules.keys();"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_help_lists_every_command(tmp_path):
    done = optathlon(tmp_path, "--help")
    for name in ("list", "show", "plan", "launch", "status", "cancel", "run", "leaderboard", "data", "doctor"):
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["lunch"], 2, "did you mean launch?"),
        ([], 2, ""),
        (["launch", "nowhere.toml"], 2, "nowhere.toml: no such sweep file"),
        (["launch", "quickstar"], 2, "did you mean quickstart?"),
        (["show", "adampp"], 2, "did you mean adamp?"),
        (["run", "ptb-awd-lstm", "adamw", "lr"], 2, "'lr': must be KEY=VALUE"),
        (["run", "ptb-awd-lstm", "adamw", "protocol.lenght=3"], 2, "did you mean length?"),
        (["run", "ptb-awd-lstm", "adamw", "--seed", str(2**63)], 2, "must be a whole number from 0 to 2^63 - 1"),
        (["run", "ptb-awd-lstm", "adamw", "protocol.tags.norm=1"], 2, "must name an option of the tag too"),
        (["run", "ptb-awd-lstm", "adamw", "--scale", "smoke"], 4, "optathlon data miniature ptb"),
        (["status", "nothing"], 4, "no plan of sweep 'nothing'"),
        (["cancel", "nothing"], 4, "no plan of sweep 'nothing'"),
        (["data", "prepare", "mnist"], 4, "mnist: "),
        (["data", "check", "mnits"], 2, "did you mean mnist?"),
        (["forget", "../../etc"], 4, "is not a run id"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(words, code, expected, tmp_path):
    done = optathlon(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "a mistake wrote something"


@pytest.mark.parametrize(
    "words", [["plan", "sweep.toml"], ["launch", "sweep.toml"], ["status"], ["leaderboard"], ["clean"]]
)
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_a_store_that_is_no_folder_is_named(tmp_path, words, kind):
    write(tmp_path)
    if kind == "file":
        (tmp_path / "store").write_text("notes")
    else:
        (tmp_path / "store").symlink_to("nowhere")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = optathlon(tmp_path, *words)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"optathlon: store: is a {kind}; a store is a folder, made where there is none\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_variable_means_the_default_and_not_this_folder(tmp_path):
    done = optathlon(tmp_path, "status", OPTATHLON_STORE="")
    assert done.stderr == "no sweep was launched in store\n"


@pytest.mark.slow
def test_a_command_whose_output_is_closed_does_its_work(tmp_path):
    write(tmp_path)
    shell = '"$@" >&- 2>&-'
    words = ["sh", "-c", shell, "sh", *command("run", "toy:TASK", "sgd", "--scale", "smoke")]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(list(tmp_path.glob("store/records/*/*.json"))) == 1


def test_what_the_system_refuses_is_told_with_its_file_and_what_to_do():
    error = PermissionError(errno.EACCES, "Permission denied", "store/sweeps")
    assert (
        main.error_message(error)
        == "store/sweeps: Permission denied; give another folder, or have whoever owns it share it"
    )
    assert main.error_message(OSError(errno.ENOSPC, "No space left on device")).startswith(
        "No space left on device; make room"
    )


def test_a_bad_sweep_writes_nothing(tmp_path):
    write(tmp_path, SWEEP.replace("fixed.lr = 1e-2", 'fixed.lr = "x"'))
    before = sorted(tmp_path.rglob("*"))
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [p for p in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(p)] == before


def test_missing_data_stops_a_launch_before_anything_is_written(tmp_path):
    write(tmp_path, SWEEP.replace("toy:TASK", "speech-commands"))
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 4
    assert "speech-commands: no prepared data" in done.stderr
    assert not (tmp_path / "store").exists()


def test_missing_weights_stop_a_run_before_anything_is_written(tmp_path):
    assert optathlon(tmp_path, "data", "miniature", "cub").returncode == 0
    done = optathlon(tmp_path, "run", "cub-triplet", "adamp", "--scale", "paper", "lr=1e-4")
    assert done.returncode == 4
    assert "imagenet-weights: no resnet50-0676ba61.pth" in done.stderr
    assert not (tmp_path / "store").exists()


def test_status_counts_what_is_there(launched):
    (seen,) = document(optathlon(launched, "status", "--json"))["sweeps"]
    assert seen["sweep"] == "toys"
    assert seen["counts"] == {"waiting": 0, "running": 0, "stopped": 0, "failed": 0, "finished": 4, "diverged": 0}
    assert optathlon(launched, "status", "--check").returncode == 0


def test_the_leaderboard_comes_in_every_format(launched):
    rows = list(csv.DictReader(io.StringIO(optathlon(launched, "leaderboard", "toys", "--format", "csv").stdout)))
    assert [row["row"] for row in rows] == ["sgd", "adamw"]
    assert {row["n"] for row in rows} == {"2"}
    assert "±" in optathlon(launched, "leaderboard", "toys").stdout
    assert "| sgd |" in optathlon(launched, "leaderboard", "toys", "--format", "md").stdout
    assert optathlon(launched, "leaderboard", "toys", "--format", "wide").stdout.count("\n") == 3
    assert document(optathlon(launched, "leaderboard", "toys", "--format", "json"))
    assert optathlon(launched, "leaderboard", "toys", "--strict").returncode == 0


def test_launching_a_finished_sweep_again_does_nothing(launched):
    before = {p: p.stat().st_mtime_ns for p in (launched / "store").rglob("*")}
    done = document(optathlon(launched, "launch", "sweep.toml", "--json"))
    assert (done["missing"], done["started"]) == (0, [])
    assert {p: p.stat().st_mtime_ns for p in (launched / "store").rglob("*")} == before


@pytest.mark.slow
def test_adding_a_seed_runs_only_what_is_new(launched, tmp_path):
    shutil.copytree(launched, tmp_path / "copy")
    records = set((tmp_path / "copy" / "store" / "records").rglob("*.json"))
    write(tmp_path / "copy", SWEEP.replace("[0, 1]", "[0, 1, 2]"))
    done = document(optathlon(tmp_path / "copy", "launch", "sweep.toml", "--json"))
    assert done["missing"] == 2
    after = set((tmp_path / "copy" / "store" / "records").rglob("*.json"))
    assert len(after - records) == 2


@pytest.mark.slow
def test_show_prints_a_launched_sweep_by_its_name(launched):
    shown = document(optathlon(launched, "show", "toys", "--json"))
    assert shown["kind"] == "sweep"
    assert shown["plan"] == 1
    assert optathlon(launched, "show", "toys").stdout.strip() == (launched / "sweep.toml").read_text().strip()


def test_show_prints_a_sweep_file_of_windows_without_its_mark(tmp_path, capsys):
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert main.main(["show", str(file)]) == 0
    assert capsys.readouterr().out.strip() == SWEEP.strip()


def test_show_names_the_file_of_a_launched_sweep_that_is_damaged(tmp_path, capsys):
    Store(tmp_path).put_plan(Sweep({"sgd": [setting("sgd")]}).plan, b"name = \xff")
    assert main.main(["show", "sweep", "--store", str(tmp_path)]) == 4
    assert "plan-0001.toml: damaged" in capsys.readouterr().err


def test_what_is_not_known_is_said_in_a_line(tmp_path):
    done = optathlon(tmp_path, "show", "qqqqqq")
    assert done.returncode == 2
    assert done.stderr == "optathlon: nothing is called 'qqqqqq' (see `optathlon list`)\n"


def test_show_run_tells_how_to_recreate_it(launched, tmp_path):
    record = next((launched / "store" / "records").rglob("*.json"))
    shown = document(optathlon(launched, "show", record.stem[:6], "--json"))
    assert shown["id"] == record.stem
    again = optathlon(launched, *shlex.split(shown["recreate"])[1:], "--store", tmp_path / "other")
    assert again.returncode == 0, again.stderr
    made = json.loads((tmp_path / "other" / "records" / record.stem[:2] / record.name).read_text())
    theirs = json.loads(record.read_text())
    assert {k: v for k, v in made.items() if k != "provenance"} == {
        k: v for k, v in theirs.items() if k != "provenance"
    }


@pytest.mark.slow
def test_the_page_has_the_command_of_each_cell(launched, tmp_path):
    page = tmp_path / "report.html"
    assert optathlon(launched, "report", "--output", str(page)).returncode == 0
    text = html.unescape(page.read_text(encoding="utf-8"))
    ids = [path.stem for path in sorted((launched / "store" / "records").rglob("*.json"))]
    commands = [document(optathlon(launched, "show", run, "--json"))["recreate"] for run in ids]
    on_page = [f"<code>{command}</code>" in text for command in commands]
    assert sum(on_page) == len(ids) / 2, "of two seeds of a cell the first has its command, the other its seed"
    assert text.count("; --seed 1 for the other") == sum(on_page)


@pytest.mark.slow
def test_the_command_that_recreates_a_run_holds_every_change_of_its_protocol(tmp_path):
    write(tmp_path)
    changes = ("protocol.schedule.kind=linear", "protocol.schedule.warmup=1.0", "protocol.tags.norm.lr_scale=0.5")
    assert optathlon(tmp_path, "run", "toy:TASK", "sgd", *changes, "--scale", "smoke").returncode == 0
    (record,) = (tmp_path / "store/records").rglob("*.json")
    again = shlex.split(document(optathlon(tmp_path, "show", record.stem, "--json"))["recreate"])
    done = optathlon(tmp_path, *again[1:])
    assert f"run {record.stem} was done before" in done.stderr, again


@pytest.mark.slow
def test_a_run_is_shown_where_its_task_is_not_installed_or_no_command_makes_it(tmp_path):
    write(tmp_path, SWEEP.replace('name = "sgd"', 'name = "sgd"\nprotocol.length = 2').replace("[0, 1]", "[0]"))
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    reasons = {}
    for record in (tmp_path / "store/records").rglob("*.json"):
        for folder in (tmp_path, tmp_path / "store"):
            done = optathlon(folder, "show", record.stem, "--store", tmp_path / "store")
            assert f"id: {record.stem}" in done.stdout
            name = json.loads(record.read_text())["setting"]["optimizer"]
            reasons[name, folder.name == "store"] = done.stderr
    assert "a sweep alone can give an optimizer a protocol of its own" in reasons["sgd", False]
    assert "protocol.length = 2" in reasons["sgd", False]
    assert reasons["adamw", False] == ""
    assert reasons["adamw", True].startswith("no command recreates it here: toy:TASK: No module named 'toy'")


def test_run_prints_scores_and_a_second_time_what_was_done(tmp_path):
    write(tmp_path)
    words = ("run", "toy:TASK", "sgd", "lr=0.1", "momentum=0.9", "--scale", "smoke", "--seed", "1")
    first, second = optathlon(tmp_path, *words), optathlon(tmp_path, *words)
    assert "test/accuracy" in first.stdout
    assert first.stdout == second.stdout
    assert "was done before" in second.stderr
    board = optathlon(tmp_path, "leaderboard").stdout
    assert "sgd" in board
    assert "toy:TASK" in board


@pytest.mark.slow
def test_a_diverged_run_ranks_last_and_a_failing_one_stops_no_other(tmp_path):
    text = SWEEP.replace('name = "adamw"', 'name = "adamw"\nlabel = "exploding"\nprotocol.settings.explode_at = 3')
    text += '\n[[optimizer]]\nname = "adam"\nlabel = "crashing"\nprotocol.settings.crash = true\n'
    write(tmp_path, text)
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 1
    assert "2 failed: ZeroDivisionError: the toy was told to crash" in done.stderr
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert {k: v for k, v in seen["counts"].items() if v} == {"finished": 2, "diverged": 2, "failed": 2}
    assert optathlon(tmp_path, "status", "--check").returncode == 3
    assert optathlon(tmp_path, "leaderboard", "--strict").returncode == 3
    board = document(optathlon(tmp_path, "leaderboard", "toys", "--format", "json"))
    text = json.dumps(board)
    assert "diverged" in text
    lines = [
        line.split()[0].rstrip("¹²³⁴⁵⁶⁷⁸⁹")
        for line in optathlon(tmp_path, "leaderboard", "toys").stdout.splitlines()
        if line[:1].isalpha()
    ]
    assert lines.index("sgd") < lines.index("exploding")


@pytest.mark.slow
def test_ctrl_c_leaves_the_launcher_and_harms_nothing(tmp_path, hold):
    write(tmp_path)
    told = tmp_path / "told.txt"
    with told.open("w") as stderr:
        launcher = subprocess.Popen(
            command("launch", "sweep.toml"),
            cwd=tmp_path, env=environment(), stderr=stderr, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )  # fmt: skip
    wait_until_in_a_run(tmp_path)
    wait_for_line(told, "0/4 done")  # from now on it follows the runs
    os.killpg(launcher.pid, signal.SIGINT)
    assert launcher.wait() == 130
    assert "the runs go on" in told.read_text()
    hold.unlink()
    wait_for(lambda: len(list((tmp_path / "store" / "records").rglob("*.json"))) == 4)


@pytest.mark.slow
def test_cancel_saves_the_runs_and_launch_goes_on(tmp_path, hold):
    write(tmp_path)
    assert optathlon(tmp_path, "launch", "sweep.toml", "--detach").returncode == 0
    wait_until_in_a_run(tmp_path)
    assert len(document(optathlon(tmp_path, "cancel", "toys", "--json"))["cancelled"]) == 1
    wait_for(lambda: document(optathlon(tmp_path, "status", "toys", "--json"))["sweeps"][0]["workers"] == 0)
    assert list((tmp_path / "store").rglob("checkpoint-*.pt"))
    hold.unlink()
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert seen["counts"]["finished"] == 4


@pytest.mark.slow
def test_two_launches_at_once_are_harmless(tmp_path):
    write(tmp_path)
    both = [
        subprocess.Popen(command("launch", "sweep.toml"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [p.wait() for p in both] == [0, 0]
    endings = [json.loads(p.read_text())["kind"] for p in (tmp_path / "store").rglob("ended-*.json")]
    assert sorted(endings) == ["finished"] * 4


@pytest.mark.slow
def test_an_optimizer_and_a_task_from_outside_need_no_more_than_their_files(tmp_path):
    """docs/extending.md shows these."""
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\n"
        "class SignDescent(torch.optim.Optimizer):\n"
        "    def __init__(self, params, lr=1e-3):\n"
        "        super().__init__(params, {'lr': lr})\n\n"
        "    @torch.no_grad()\n"
        "    def step(self):\n"
        "        for g in self.param_groups:\n"
        "            for p in (p for p in g['params'] if p.grad is not None):\n"
        "                p.sub_(g['lr'] * p.grad.sign())\n"
    )
    write(tmp_path, SWEEP.replace('name = "adamw"', 'name = "mine:SignDescent"'))
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    before = set((tmp_path / "store" / "records").rglob("*.json"))
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace(".sign()", ".sign() * 0.5"))
    done = document(optathlon(tmp_path, "launch", "sweep.toml", "--json"))
    assert done["missing"] == 2, "an edited optimizer is another setting"
    assert before < set((tmp_path / "store" / "records").rglob("*.json"))


@pytest.mark.slow
def test_a_task_that_cannot_be_imported_stops_no_other(tmp_path):
    text = SWEEP.replace('"toy:TASK"', '"toy:TASK", "toy:BROKEN"')
    write(tmp_path, text)
    with (tmp_path / "toy.py").open("a") as file:
        file.write("\nimport msgspec\nBROKEN = msgspec.structs.replace(TASK, name='broken', workload='broken:Toy')\n")
    (tmp_path / "broken.py").write_text("import nowhere\n")
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 1
    (seen,) = document(optathlon(tmp_path, "status", "--json"))["sweeps"]
    assert {k: v for k, v in seen["counts"].items() if v} == {"finished": 4, "failed": 4}
    assert "No module named 'nowhere'" in seen["errors"][0]["reason"]
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 1, "what failed is not done"


def test_a_damaged_submission_or_handle_stops_nothing(launched, tmp_path):
    copy = shutil.copytree(launched, tmp_path / "copy")
    folder = copy / "store" / "sweeps" / "toys"
    (folder / "submission-0008.json").write_text('{"cluster": "elsewhere"}')
    (folder / "submission-0009.json").write_text('{"cluster": "local", "plan": 1, "folder": 3}')
    assert optathlon(copy, "status").returncode == 0
    assert optathlon(copy, "launch", "sweep.toml").returncode == 0


def test_run_refuses_what_a_plan_refuses(tmp_path):
    write(tmp_path)
    done = optathlon(tmp_path, "run", "toy:TASK", "lbfgs", "protocol.precision=fp16", "--scale", "smoke")
    assert done.returncode == 2
    assert "lbfgs cannot run toy:TASK" in done.stderr


def test_doctor_finds_this_machine_sound(tmp_path):
    done = optathlon(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    levels = {f["what"]: f["level"] for f in json.loads(done.stdout)["findings"]}
    assert levels["store"] == levels["torch"] == "ok"
    assert levels["mnist"] == "check"


def test_list_alone_says_what_can_be_listed(tmp_path):
    done = optathlon(tmp_path, "list")
    assert done.returncode == 0
    assert [line.split()[2] for line in done.stdout.splitlines()[2:]] == ["tasks", "optimizers", "sweeps", "datasets"]
    assert document(optathlon(tmp_path, "list", "--json"))["kinds"]["datasets"] >= 10


def test_a_name_that_is_part_of_others_suggests_them(tmp_path):
    done = optathlon(tmp_path, "run", "ptb", "adamw")
    assert (done.returncode, "did you mean ptb-awd-lstm or ptb-awd-lstm-merity?" in done.stderr) == (2, True)


def test_a_sweep_without_its_data_names_all_of_it_and_one_line_that_prepares_it(tmp_path):
    done = optathlon(tmp_path, "launch", "quickstart", "--data", "elsewhere")
    assert done.returncode == 4
    assert done.stderr.startswith("optathlon: quickstart: no prepared data in elsewhere (--data or $OPTATHLON_DATA ")
    assert "`optathlon data standin mnist ptb speech-commands`" in done.stderr
    assert not list(tmp_path.iterdir())
