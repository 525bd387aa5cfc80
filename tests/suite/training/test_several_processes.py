"""A run on several processes is the run on one: to round-off, and bit for bit for the same number of them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import msgspec
import pytest
import torch

from optathlon import tasks
from optathlon.suite.errors import MachineError
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of, task_of
from optathlon.suite.training.place import Place, environment, first_host, unshareable
from optathlon.suite.training.reduction import sum_gradients
from optathlon.suite.training.team import Lost
from optathlon.suite.user_modules import look_beside
from optathlon.tasks import Protocol
from optathlon.tasks.shared_state import OutOfStep, merged
from optathlon.tasks.workload import Batch
from tests.miniatures import put_miniatures
from tests.suite import kills
from tests.suite.kills import SMALL
from tests.suite.ranks import attempt, close, together
from tests.suite.sweeps import HERE

look_beside(HERE)
OPTIMIZERS = {"sgd": {"lr": 0.1, "momentum": 0.9}, "adamp": {"lr": 1e-2}, "lbfgs": {"lr": 0.1, "max_iter": 3}}


def run_of(optimizer="sgd", variant="epochs", protocol=None, seed=5) -> Run:
    import toy

    spec, task = optimizer_of(optimizer), task_of("shared_toy:TASK")
    resolved = task.protocol("smoke").override(toy.VARIANTS.get(variant, {})).override(protocol or {})
    problem = Problem(task="shared_toy:TASK", version=task.version, scale="smoke", data={}, protocol=resolved)
    values = spec.resolve(OPTIMIZERS[optimizer])
    return Run(
        problem=problem, setting=Setting(optimizer=optimizer, version=spec.version, hyperparameters=values), seed=seed
    )


@functools.cache
def uninterrupted(world, optimizer="sgd", variant="epochs", micro_batch=4):
    with tempfile.TemporaryDirectory() as folder:
        return attempt(run_of(optimizer, variant, {"micro_batch": micro_batch}), Path(folder), world)[0]


# --- who is there ------------------------------------------------------------------------------------------------

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "gpu-1", "MASTER_PORT": "29500"}
SRUN = {
    "SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "127.0.0.[1-2]", "SLURM_JOB_NODELIST": "gpu-[01-09]", "SLURM_RESTART_COUNT": "2",
}  # fmt: skip


def test_torchrun_says_who_this_is():
    assert environment(TORCHRUN) == Place(3, 4, 1, "gpu-1", 29500)
    by_agent = environment({**TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "1"})
    assert by_agent == Place(3, 4, 1, "gpu-1", 29500, served=True, start="1")


def test_srun_says_who_this_is_and_the_first_node_serves():
    place = environment(SRUN)
    assert place is not None
    assert (place.rank, place.world, place.local_rank, place.address, place.start) == (3, 4, 1, "127.0.0.1", "2")
    assert 20000 <= place.port < 60000
    other_job = environment({**SRUN, "SLURM_JOB_ID": "18"})
    assert other_job is not None
    assert other_job.port != place.port
    assert environment({**SRUN, "MASTER_ADDR": "here", "MASTER_PORT": "1234"}) == Place(
        3, 4, 1, "here", 1234, start="2"
    )


def test_where_the_names_of_nodes_are_not_those_of_hosts_srun_says_where_it_runs():
    unknown = {**SRUN, "SLURM_STEP_NODELIST": "no-such-host.invalid,b", "SLURM_SRUN_COMM_HOST": "10.0.0.7"}
    place, on_one_node = environment(unknown), environment({**unknown, "SLURM_STEP_NUM_NODES": "1"})
    assert place is not None
    assert on_one_node is not None
    assert (place.address, on_one_node.address) == ("10.0.0.7", "127.0.0.1")


def test_one_process_is_alone():
    assert environment({}) is None
    assert environment({**TORCHRUN, "WORLD_SIZE": "1"}) is None
    assert environment({**SRUN, "SLURM_NTASKS": "1"}) is None
    batch_script = {key: value for key, value in SRUN.items() if "STEP" not in key}
    assert environment(batch_script) is None


def test_a_broken_environment_is_named():
    with pytest.raises(MachineError, match="RANK is not set"):
        environment({key: value for key, value in TORCHRUN.items() if key != "RANK"})
    with pytest.raises(MachineError, match="'many'"):
        environment({**TORCHRUN, "WORLD_SIZE": "many"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("a,b", "a"), ("gpu-[07-09,12],login", "gpu-07"), ("r[1-2]n[03,05]-ib", "r1n03-ib")],
)
def test_the_first_of_a_list_of_hosts(nodes, first):
    assert first_host(nodes) == first


def test_processes_that_cannot_share_an_update_are_told_what_could():
    protocol = Protocol(length=1, batch=16, micro_batch=8)
    assert unshareable(protocol, 1) is unshareable(protocol, 2) is None
    assert "16 in micro-batches of 8 cannot be shared by 4" in str(unshareable(protocol, 4))
    assert "protocol.micro_batch=4 can" in str(unshareable(protocol, 4))
    assert "a number of processes that divides the batch" in str(unshareable(protocol, 3))


# --- what they tell each other -----------------------------------------------------------------------------------


def test_states_are_merged_by_what_belongs_to_whom():
    nan = torch.tensor(float("nan"))
    states = [{"sigma": nan, "memory": {k: [torch.ones(2) * k], 9: 1}} for k in (0, 1)]
    assert merged(states)["memory"].keys() == {0, 1, 9}
    assert merged(states)["memory"][1][0].tolist() == [1.0, 1.0]


def test_a_state_that_should_be_the_same_and_is_not_is_an_error():
    with pytest.raises(OutOfStep, match=r"differs between processes: its state\['memory'\]"):
        merged([{"memory": torch.zeros(2)}, {"memory": torch.ones(2)}])


def gradients_of(team):
    net = torch.nn.Linear(2, 1)
    net.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
    net.register_parameter("frozen", torch.nn.Parameter(torch.ones(3), requires_grad=False))
    net.half_used = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    net.weight.grad, net.bias.grad = (
        torch.full((1, 2), 1.0 + team.rank),
        torch.tensor([float("inf")] * team.rank or [1.0]),
    )
    if team.rank == 1:
        net.half_used.grad = torch.full((2,), 5.0, dtype=torch.float64)
    loss = sum_gradients(net, torch.tensor(team.rank + 2.0))
    return {name: None if p.grad is None else p.grad.tolist() for name, p in net.named_parameters()}, float(loss)


def test_gradients_are_summed_and_one_that_nobody_has_stays_away(tmp_path):
    expected = {"weight": [[3.0, 3.0]], "bias": [float("inf")], "half_used": [5.0, 5.0], "unused": None, "frozen": None}
    assert together(2, tmp_path, gradients_of) == [(expected, 5.0)] * 2


def buffers_of(team):
    """After an update of four parts; a part is a column of ones, times its number."""
    net = torch.nn.BatchNorm1d(1)
    net.register_buffer("here", torch.tensor([team.rank]))
    net.register_buffer("own", torch.tensor([team.rank]), persistent=False)
    mine = [Batch(torch.full((2, 1), float(part)), part, 4, 2) for part in range(team.rank, 4, team.world)]
    for batch in team.through(mine, [net]):
        net(batch.data)
        net.here += 1
    return {name: buffer.tolist() for name, buffer in net.named_buffers()}


def test_running_statistics_are_those_of_all_parts_in_order_and_other_buffers_the_first_processes(tmp_path):
    """r <- 0.9 r + 0.1 s, for s = 0, 1, 2, 3 in turn."""
    (alone,) = together(1, tmp_path, buffers_of)
    assert alone["running_mean"] == pytest.approx([0.1 * (3 + 2 * 0.9 + 1 * 0.9**2)])
    first, other = together(2, tmp_path, buffers_of)
    for name in ("running_mean", "running_var"):
        assert first[name] == other[name] == pytest.approx(alone[name], rel=1e-6)
    assert first["num_batches_tracked"] == other["num_batches_tracked"] == alone["num_batches_tracked"] == 4
    assert (first["here"], other["here"]) == ([2], [2])
    assert (first["own"], other["own"]) == ([0], [1])


def means_of(team):
    """After two updates of four parts, of norms that keep the mean over all: one trains, one is frozen."""
    nets = [torch.nn.BatchNorm1d(1, momentum=None), torch.nn.BatchNorm1d(1, momentum=None).eval()]
    for begin in (0, 4):
        mine = [
            Batch(torch.tensor([[p - 1.0], [p + 1.0]]), p, 8, 2)
            for p in range(begin + team.rank, begin + 4, team.world)
        ]
        for batch in team.through(mine, nets):
            for net in nets:
                net(batch.data)
    return [buffer.tolist() for net in nets for buffer in net.buffers()]


@pytest.mark.parametrize("world", [1, 2])
def test_a_norm_without_momentum_keeps_the_mean_over_all_parts(world, tmp_path):
    """Of 0 to 7 the mean is 3.5; each part's variance is 2."""
    expected = [pytest.approx([3.5]), pytest.approx([2.0]), 8, [0.0], [1.0], 0]
    assert together(world, tmp_path, means_of) == [expected] * world


# --- as one process ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["epochs", "steps", "ema", "restore"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_processes_train_as_one_does(optimizer, variant):
    """Batch norm and its statistics, dropout, augmentation, memories, clipping, the best and the averaged weights. The
    sum of two parts has one order only, so that even what amplifies round-off ends with the same parameters."""
    two, one = uninterrupted(2, optimizer, variant, 8), uninterrupted(1, optimizer, variant, 8)
    close(two, one)
    assert all(tensor.equal(one[4][name]) for name, tensor in two[4].items() if "running" not in name)


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_parts_a_process_and_several_processes(world):
    close(uninterrupted(world), uninterrupted(1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, *dict.fromkeys(name for task in SMALL for name in tasks.task(task).datasets))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamp"])
@pytest.mark.parametrize("task", SMALL)
def test_two_processes_train_the_benchmarks_as_one_does(task, optimizer, data, tmp_path):
    """Two networks that train against each other, streams with memories, waveforms: in two parts an update."""
    run = kills.run_of(task, optimizer, data)
    halves = run.problem.protocol.override({"micro_batch": run.protocol.batch // 2})
    run = msgspec.structs.replace(run, problem=msgspec.structs.replace(run.problem, protocol=halves))
    ends = []
    for world in (1, 2):
        (folder := tmp_path / str(world)).mkdir()
        ends.append(attempt(run, folder, world, data=data)[0])
    close(*ends)


def test_all_processes_end_with_the_same(tmp_path):
    first, *others = attempt(run_of(), tmp_path, 4)
    assert [other[:4] for other in others] == [first[:4]] * 3


@pytest.mark.slow
def test_half_precision_skips_an_update_on_all_if_one_overflows(tmp_path):
    """The gradient scaler decides after the sum, so that no process steps where another does not."""
    protocol = {"precision": "fp16", "micro_batch": 8, "settings": {"huge_at": 5}}
    skipped = []
    for world in (1, 2):
        (folder := tmp_path / str(world)).mkdir()
        skipped.append(attempt(run_of(protocol=protocol), folder, world)[0])
    close(*skipped, rtol=1e-2, atol=1e-3)


def test_a_loss_that_is_not_finite_in_one_process_ends_all(tmp_path):
    ends = attempt(run_of(protocol={"settings": {"explode_at": 17}}), tmp_path, 2)
    assert [end[3] for end in ends] == ["diverged", "diverged"]
    assert ends[0][:3] == ends[1][:3]


# --- stopped and continued ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [0, 1])
def test_all_stop_after_the_same_update_whoever_is_asked(asked, tmp_path):
    assert attempt(run_of(), tmp_path, 2, {asked: 5}) == [5, 5]


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "variant"), [("sgd", "epochs"), ("sgd", "restore"), ("adamp", "ema")])
def test_stopped_and_continued_by_as_many_processes_it_is_the_same_bit_for_bit(optimizer, variant, tmp_path):
    run = run_of(optimizer, variant)
    for count in (1, 4, 6, 3):
        attempt(run, tmp_path, 2, {count % 2: count})
    ends = attempt(run, tmp_path, 2)
    assert [end[:4] for end in ends] == [uninterrupted(2, optimizer, variant)[:4]] * 2


@pytest.mark.slow
def test_another_number_of_processes_goes_on(tmp_path):
    run = run_of()
    for world in (2, 1, 4):
        assert attempt(run, tmp_path, world, {0: 5}) == [5] * world
    close(attempt(run, tmp_path, 2)[0], uninterrupted(1))


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_weights_that_drift_apart_are_found(tmp_path):
    for error in attempt(run_of(protocol={"settings": {"drift": True}}), tmp_path, 2, {0: 3}):
        assert isinstance(error, OutOfStep)
        assert "the weights of process 1" in str(error)
    assert not list(tmp_path.glob("checkpoint*"))


def test_a_memory_that_is_not_kept_by_part_is_found(tmp_path):
    plain = run_of(protocol={})
    problem = msgspec.structs.replace(plain.problem, task="toy:PLAIN", protocol=task_of("toy:PLAIN").protocol("smoke"))
    first, _ = attempt(msgspec.structs.replace(plain, problem=problem), tmp_path, 2, {0: 3})
    assert isinstance(first, OutOfStep)
    assert "memory" in str(first)


def test_when_one_process_fails_the_others_do_not_wait(tmp_path):
    """The first error is the one that the others are told of."""
    first, failing = attempt(run_of(protocol={"settings": {"fail_on": 1}}), tmp_path, 2)
    assert isinstance(failing, ZeroDivisionError)
    assert isinstance(first, Lost)
