"""The commands about optimizers: check, decay and toys."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from tests.suite.commands.in_process import run_here
from tests.suite.sweeps import environment, optathlon, write

FAULTY = textwrap.dedent(
    """
    import torch

    class Plain(torch.optim.SGD):
        pass

    class Decays(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(0.99)
            return super().step(closure)

    class ForgetsNoGrad(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3):
            super().__init__(params, {"lr": lr})

        def step(self):
            for group in self.param_groups:
                for p in (p for p in group["params"] if p.grad is not None):
                    p.sub_(group["lr"] * p.grad)

    class ForgetsSuper(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3):
            self.lr = lr

        def step(self):
            pass
    """
)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.py").write_text(FAULTY)
    return folder


def test_check_prints_a_card_and_passes_a_sound_optimizer(mine):
    done = run_here(mine, "check", "adamp", "lr=1e-2", "projection=layer")
    assert done.returncode == 0, done.stderr
    assert "lr 0.01" in done.stdout
    assert "projection layer" in done.stdout
    assert "pass   same twice" in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stdout.rstrip().endswith("adamp passes")


def test_check_exits_with_1_on_a_faulty_class_from_the_folder_and_says_why(mine):
    done = optathlon(mine, "check", "mine:Decays", "lr=0.01", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["passed"] is False
    failed = {f["check"]: f["detail"] for f in document["card"]["findings"] if f["status"] == "fail"}
    assert "moved a parameter" in failed["rate zero moves nothing"]
    assert "same twice" not in failed


@pytest.mark.slow
def test_check_passes_a_sound_class_from_the_folder(mine):
    done = optathlon(mine, "check", "mine:Plain", "lr=0.01", "momentum=0.9")
    assert done.returncode == 0, done.stdout + done.stderr


MISTAKES = {
    "ForgetsNoGrad": ("requires grad is being used in an in-place operation", "put @torch.no_grad() above step"),
    "ForgetsSuper": ("has no param_groups; it must be a torch.optim.Optimizer", "calls super().__init__(params, "),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "says"), MISTAKES.items())
def test_a_mistake_is_told_once_by_check_and_ends_a_run_as_the_optimizers_own(mine, name, says):
    write(mine)
    card = optathlon(mine, "check", f"mine:{name}")
    failed = [line for line in card.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1
    assert all(words in failed[0] for words in says)
    done = optathlon(mine, "run", "toy:TASK", f"mine:{name}", "--scale", "smoke")
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert says[0] in said
    assert "the optimizer's own error: correct the optimizer" in said
    assert "bug of ours" not in done.stderr


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["1e-4", "--from", "shrink", "--to", "decoupled", "--lr", "1e-3"], 0.1),
        (["1e-4", "--from", "l2", "--to", "decoupled", "--lr", "0.1", "--momentum", "0.9"], 1e-3),
        (["1e-2", "--from", "decoupled", "--to", "shrink", "--lr", "1e-3", "--wd-ratio", "0.1"], 1e-6),
        (["1e-4", "--from", "l2", "--to", "sgdp", "--lr", "0.1", "--momentum", "0.9", "--wd-ratio", "0.1"], 1e-3),
    ],
)
def test_decay_converts(words, result, tmp_path):
    done = run_here(tmp_path, "decay", *words)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(result)
    document = json.loads(run_here(tmp_path, "decay", *words, "--json").stdout)
    assert document["result"] == pytest.approx(result)


def test_decay_tells_both_readings_for_an_optimizer(tmp_path):
    document = json.loads(run_here(tmp_path, "decay", "1e-4", "adamp", "--json").stdout)
    assert document["readings"]["shrink_if_argument"] == pytest.approx(1e-7)
    assert document["readings"]["argument_if_shrink_projected"] == pytest.approx(1.0)
    done = run_here(tmp_path, "decay", "1e-4", "sgdp", "--lr", "0.1", "--momentum", "0.9")
    cells = [line.split("  ") for line in done.stdout.splitlines()]
    rows = [[c.strip() for c in row if c.strip()] for row in cells]
    assert ["the argument", "projected", "0.0001", "1e-05"] in rows
    assert ["the shrink a step", "not projected", "0.0001", "0.0001"] in rows


def test_show_tells_what_a_paper_s_weight_decay_means_at_the_defaults_or_at_the_grid_s_middle_rate(tmp_path):
    def meaning(name):
        return json.loads(run_here(tmp_path, "show", name, "--json").stdout)["what a weight decay of 1e-4 means"]

    adamp, sgdp = meaning("adamp"), meaning("sgdp")
    assert adamp["shrink_if_argument"] == pytest.approx(1e-7)
    assert adamp["at its defaults"] == {"lr": 1e-3, "wd_ratio": 0.1}
    assert sgdp["shrink a step"] == "weight_decay * lr / (1 - momentum), times wd_ratio where projected"
    at = sgdp["at the middle rate of its default grid"]
    assert 0.01 < at["lr"] < 1.0
    assert sgdp["shrink_if_argument_projected"] == pytest.approx(1e-4 * at["lr"] / (1 - at["momentum"]) * 0.1)
    done = run_here(tmp_path, "show", "adarem")
    assert "shrink a step: weight_decay * lr" in done.stdout
    assert "what a weight decay" not in run_here(tmp_path, "show", "adam").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1e-4", "--from", "l2"], "give --from, --to and --lr"),
        (["1e-4", "adamw", "--to", "l2"], "either its name or --from and --to"),
        (["1e-4", "adampp"], "did you mean adamp?"),
        (["1e-4", "adam"], "takes no fixed fraction"),
        (["1e-4", "sgdp"], "lr has no default, give one: --lr 0.1"),
        (["nan", "adamw"], "must be finite"),
        (["1e-4", "adamw", "--lr", "-1"], "lr = -1.0: must be at least 0"),
        (["1e-4", "--from", "l2", "--to", "sgdp", "--lr", "-1"], "must be finite and at least 0"),
    ],
)
def test_mistakes_in_decay_are_one_line(words, expected, tmp_path):
    done = run_here(tmp_path, "decay", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("words", "expected"), [(["adampp"], "did you mean adamp?"), (["adam", "lr"], "KEY=VALUE")])
def test_mistakes_in_check_are_told(words, expected, tmp_path):
    done = run_here(tmp_path, "check", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr


def test_decay_imports_no_heavy_package(tmp_path):
    code = (
        "import sys; from optathlon.suite.main import main; code = main(['decay', '1e-4', 'adamw']);"
        "sys.exit(code or 'torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment(), check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_toys_prints_the_published_numbers_beside_its_own_and_draws(tmp_path):
    done = optathlon(tmp_path, "toys", "1", "--output", "plots", "--format", "svg", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [n["published"] for n in document["numbers"]] == [2.93, 1.12, 5.67, 1.14, 27.87, 1.15]
    for number in document["numbers"]:
        assert number["here"] == pytest.approx(number["published"], abs=6e-3)
    files = [tmp_path / f for f in document["files"]]
    assert [f.name for f in files] == [f"figure-1-momentum-{m}.svg" for m in ("0.9", "0.95", "0.99")]
    assert all("GD + momentum" in f.read_text() for f in files)
    (tmp_path / "first").hardlink_to(files[0])
    optathlon(tmp_path, "toys", "1", "--output", "plots")
    assert files[0].read_bytes() == (tmp_path / "first").read_bytes()
    assert not files[0].samefile(tmp_path / "first"), "written in place, where a full disk tears it"


@pytest.mark.slow
def test_toys_prints_a_table_and_draws_into_a_new_folder(tmp_path):
    for figure, expected in (("3", "2.53"), ("ratio", "199"), ("regret", "0.5")):
        done = optathlon(tmp_path, "toys", figure, "--output", f"{figure}/plots", "--format", "png")
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    assert (tmp_path / "3/plots/figure-3.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "regret/plots/regret.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("short_walks")
def test_toys_does_all_figures(tmp_path):
    done = run_here(tmp_path, "toys", "--output", "plots", "--format", "pdf", "--json")
    assert done.returncode == 0, done.stderr
    figures = {n["figure"] for n in json.loads(done.stdout)["numbers"]}
    assert figures == {"1", "3", "H.1", "G.1", "G.2", "ratio", "regret"}
    assert len(list((tmp_path / "plots").glob("*.pdf"))) == 8
