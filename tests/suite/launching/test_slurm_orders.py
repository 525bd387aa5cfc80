"""How many workers a launch orders, of which shapes, and what each of their jobs waits for: the cap always holds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from optathlon.results import Store
from optathlon.slurm.cluster import Alive, Resources
from optathlon.suite.launching.slurm_orders import Order, Submission, in_turns, orders
from optathlon.suite.monitoring.alive_workers import Submitted, Workers
from optathlon.suite.monitoring.status import overview
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.cluster_settings import Settings
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.scope import Scope
from tests.suite.sweeps import SWEEP, write

TUNED = SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0, 1], report = [5, 6, 7]}").replace(
    '"toy:TASK"', '"toy:TASK", "toy:LINEAR"'
)


@pytest.fixture
def tuned(tmp_path):
    """A plan of 8 runs to tune and 12 to report, over 2 tasks, and where it stands."""
    store = Store(tmp_path / "store")
    plan = expand(sweep_reader.load(write(tmp_path, TUNED)), tmp_path)
    return store, plan, overview(store, plan)


def shapes(workers=256, split=False, **more):
    small = Settings("slurm", workers, **more)
    if not split:
        return [(small, of_tasks("toy:TASK", "toy:LINEAR"))]
    big = Settings("slurm", workers, resources=Resources(memory="64G"), **more)
    return [(small, of_tasks("toy:TASK")), (big, of_tasks("toy:LINEAR"))]


def of_tasks(*tasks):
    return Scope(frozenset(tasks))


def counted(found):
    return [(order.stage, order.copies) for order in found]


NOBODY = Workers({})


@pytest.mark.parametrize(
    ("given", "room", "expected"),
    [
        ({}, None, [("tune", 8), ("all", 12)]),
        ({"workers": 5}, None, [("tune", 5), ("all", 5)]),
        ({"slots": 3}, None, [("tune", 3), ("all", 4)]),
        ({"split": True}, None, [("tune", 4), ("tune", 4), ("all", 6), ("all", 6)]),
        ({"split": True, "workers": 3}, None, [("tune", 1), ("tune", 1), ("all", 1), ("all", 1)]),
        ({}, 6, [("tune", 3), ("all", 3)]),
        ({"chain": 2}, 6, [("tune", 1), ("all", 1)]),
        ({}, 1, [("all", 1)]),
    ],
)
def test_a_worker_for_each_run_up_to_the_cap_and_the_clusters_limits(tuned, given, room, expected):
    _, plan, seen = tuned
    assert counted(orders(plan, seen, shapes(**given), NOBODY, room)) == expected


def test_workers_that_are_alive_count(tuned):
    _, plan, states = tuned
    workers = Workers(
        {
            Submitted("slurm:c:ana:a", "slurm", 1, "tune"): Alive(running=("1", "2"), pending=("3",)),
            Submitted("slurm:c:ana:b", "slurm", 1, "all"): Alive(pending=tuple(map(str, range(12)))),
        }
    )
    assert counted(orders(plan, states, shapes(), workers, None)) == [("tune", 5)]


class Described:
    """A cluster that only names its jobs."""

    def handle(self, name):
        return f"slurm:c:ana:{name}"


def jobs(tuned, given, there=NOBODY):
    store, plan, seen = tuned
    found = orders(plan, seen, given, there, None)
    return [job for _, job in Submission(store, "toys", 1, ("work",), Path("/jobs")).jobs(Described(), found, there)]


def test_reports_wait_for_all_tuning_and_follow_ups_for_what_they_follow(tuned):
    there = Workers({Submitted("slurm:c:ana:old", "slurm", 1, "tune"): Alive(running=("1",))})
    tune, report, follow_up, last = jobs(tuned, shapes(chain=2), there)
    assert tune.after == ()
    assert report.after == ("slurm:c:ana:old", f"slurm:c:ana:{tune.name}")
    assert follow_up.after == (f"slurm:c:ana:{report.name}",)
    assert last.after == (f"slurm:c:ana:{follow_up.name}",)
    assert len({job.name for job in (tune, report, follow_up, last)}) == 4
    following = (report, follow_up, last)
    assert all([b for a, b in pairwise(job.argv) if a == "--after"] == list(job.after) for job in following)
    assert len({tuple(w for w in job.argv if w not in {"--after", *job.after}) for job in following}) == 1


def test_tuning_that_no_report_follows_has_follow_ups_of_its_own(tuned):
    """Its reports are done, or have their workers, while those of another shape have not."""
    (one, first), (other, second) = shapes(split=True, chain=1)
    found = [Order("tune", one, first, 2), Order("tune", other, second, 2), Order("all", one, first, 2)]
    ordered = Submission(tuned[0], "toys", 1, ("work",), Path("/jobs")).jobs(Described(), found, NOBODY)
    names = [f"slurm:c:ana:{job.name}" for _, job in ordered]
    assert [(order.stage, order.scope, order.follows) for order, _ in ordered] == [
        ("tune", first, False),
        ("tune", second, False),
        ("all", second, True),
        ("all", first, False),
        ("all", first, True),
    ]
    assert [job.after for _, job in ordered] == [(), (), (names[1],), tuple(names[:3]), (names[3],)]


def three(**more):
    """Three shapes, of one task each."""
    tasks = ("toy:TASK", "toy:LINEAR", "toy:OTHER")
    return [(Settings("slurm", resources=Resources(memory=f"{i}G"), **more), of_tasks(t)) for i, t in enumerate(tasks)]


def by_row(**more):
    """A shape per optimizer."""
    tasks = frozenset({"toy:TASK", "toy:LINEAR"})
    return [
        (Settings("slurm", resources=Resources(memory=memory), **more), Scope(tasks, frozenset({row})))
        for memory, row in (("8G", "sgd"), ("64G", "adamw"))
    ]


def test_a_shape_of_a_row_has_jobs_of_its_own_and_reports_wait_for_tuning_of_both(tuned):
    scopes = jobs(tuned, by_row(chain=1))
    handles = [f"slurm:c:ana:{job.name}" for job in scopes]
    assert [(job.copies, job.resources.memory, job.argv[-1]) for job in scopes] == [
        (4, "8G", "--row=sgd"),
        (4, "64G", "--row=adamw"),
        *[(6, "8G", "--row=sgd")] * 2,
        *[(6, "64G", "--row=adamw")] * 2,
    ]
    assert [job.after for job in scopes[:3]] == [(), (), tuple(handles[:2])]
    assert [scopes[3].after, scopes[5].after] == [(handles[2],), (handles[4],)]


def test_workers_that_are_alive_count_for_the_shape_of_their_rows(tuned):
    _, plan, seen = tuned
    (_, sgd), (_, adamw) = by_row()
    reports = {
        Submitted(f"slurm:c:ana:{i}", "slurm", 1, "all", scope.tasks, scope.rows): Alive(
            running=tuple(map(str, range(6)))
        )
        for i, scope in enumerate((sgd, adamw))
    }
    tune = {Submitted("slurm:c:ana:t", "slurm", 1, "tune", adamw.tasks, adamw.rows): Alive(running=("1",))}
    found = orders(plan, seen, by_row(), Workers(reports | tune), None)
    assert [(order.stage, order.scope, order.copies) for order in found] == [("tune", sgd, 4), ("tune", adamw, 3)]


@pytest.mark.parametrize(
    ("free", "cap", "lacking", "expected"),
    [
        (2, 2, [(1, False), (1, False), (1, False)], [(0, 1, 0), (1, 1, 0), (2, 1, 1)]),
        (1, 1, [(1, False), (1, False), (1, False)], [(0, 1, 0), (1, 1, 1), (2, 1, 2)]),
        (8, 8, [(3, False), (3, True)], [(0, 3, 0), (1, 3, 0)]),
        (4, 8, [(3, False), (3, True)], [(0, 2, 0), (1, 2, 0)]),
        (1, 8, [(3, True), (3, False)], [(1, 1, 0)]),  # nobody is at work on it
        (0, 8, [(3, True), (9, False), (4, False)], [(1, 5, 1), (2, 2, 1)]),
        (0, 8, [(3, True)], []),
    ],
)
def test_what_does_not_fit_into_the_cap_takes_turns_unless_workers_like_it_are_alive(free, cap, lacking, expected):
    ordered = [
        (alive, Order("all", settings, scope, copies))
        for (settings, scope), (copies, alive) in zip(three(), lacking, strict=False)
    ]
    places = [order.scope for _, order in ordered]
    found = list(in_turns(ordered, free, cap))
    assert [(places.index(order.scope), order.copies, order.turn) for order in found] == expected


def test_more_shapes_than_workers_take_turns(tuned):
    first, second, third, last = jobs(tuned, shapes(workers=1, split=True))
    handles = [f"slurm:c:ana:{job.name}" for job in (first, second, third)]
    assert [job.after for job in (first, second, third, last)] == [
        (),
        tuple(handles[:1]),
        tuple(handles[:2]),
        tuple(handles),
    ]
    assert second.argv[-2:] == ("--task", "toy:LINEAR")
    assert second.resources.memory == "64G"


def test_a_later_turn_comes_after_follow_ups_and_after_whoever_is_at_work(tuned):
    there = Workers({Submitted("slurm:c:ana:old", "slurm", 7): Alive(running=("1",))})  # of an older plan
    found = [Order("all", *shape, 1, turn) for turn, shape in enumerate(shapes(split=True, chain=1))]
    given = Submission(tuned[0], "toys", 1, ("work",), Path("/jobs")).jobs(Described(), found, there)
    names = [f"slurm:c:ana:{job.name}" for _, job in given]
    assert [job.after for _, job in given] == [(), (names[0],), ("slurm:c:ana:old", *names[:2]), (names[2],)]


def test_follow_ups_that_are_replaced_follow_those_that_are_alive_too(tuned):
    """One of two workers of a shape is gone, and none of another's."""
    (small, first), (big, second) = shapes(workers=4, split=True, chain=2)
    workers = Workers(
        {
            Submitted("slurm:c:ana:a", "slurm", 1, "all", first.tasks): Alive(running=("1",)),
            Submitted("slurm:c:ana:b", "slurm", 1, "all", second.tasks): Alive(running=("1", "2")),
            Submitted("local:h:b:1:1", "local", 1): Alive(running=("l",)),
        }
    )
    found = [Order("all", big, second, 2, follows=True), Order("all", small, first, 1)]
    ordered = Submission(tuned[0], "toys", 1, ("work",), Path("/jobs")).jobs(Described(), found, workers)
    names = [f"slurm:c:ana:{job.name}" for _, job in ordered]
    assert [(order.scope, order.copies, order.follows) for order, _ in ordered] == [
        (second, 2, True),
        (second, 2, True),
        (first, 1, False),
        (first, 2, True),
        (first, 2, True),
    ]
    assert [job.after for _, job in ordered][:2] == [("slurm:c:ana:b",), (names[0],)]
    assert [job.after for _, job in ordered][3:] == [(names[2], "slurm:c:ana:a"), (names[3],)]


def test_the_follow_ups_of_who_is_alive_are_ordered_anew_only_with_something_else(tuned):
    _, plan, states = tuned
    two_shapes = shapes(workers=4, split=True, chain=1)
    alive = Alive(running=("1", "2"))
    tune = {Submitted("slurm:c:ana:t", "slurm", 1, "tune"): Alive(running=tuple("1234"))}
    both = {
        Submitted(f"slurm:c:ana:{i}", "slurm", 1, "all", scope.tasks): alive for i, (_, scope) in enumerate(two_shapes)
    }
    assert orders(plan, states, two_shapes, Workers(tune | both), None) == []
    (first, second), (_, scope) = both, two_shapes[0]
    found = orders(plan, states, two_shapes, Workers(tune | {first: alive, second: Alive()}), None)
    assert [(o.scope, o.copies, o.follows) for o in found] == [(scope, 2, True), (two_shapes[1][1], 2, False)]


def test_follow_ups_that_wait_for_what_they_follow_are_no_workers_yet(tuned):
    _, plan, states = tuned
    copies = tuple("abcdef")
    workers = {
        Submitted("slurm:c:ana:t", "slurm", 1, "tune"): Alive(running=tuple(map(str, range(8)))),
        Submitted("slurm:c:ana:r", "slurm", 1, "all"): Alive(pending=copies, behind=frozenset(copies)),
    }
    assert counted(orders(plan, states, shapes(), Workers(workers), None)) == [("all", 6)], "reports will be workers"
    follow = Submitted("slurm:c:ana:f", "slurm", 1, "all", follows=True)
    workers[follow] = Alive(pending=copies, behind=frozenset(copies))
    assert counted(orders(plan, states, shapes(), Workers(workers), None)) == [("all", 6)]
    workers[follow] = Alive(pending=copies)
    assert counted(orders(plan, states, shapes(), Workers(workers), None)) == []


def test_what_can_never_start_blocks_nothing_and_what_is_held_does(tuned):
    _, plan, states = tuned
    copies = tuple(map(str, range(20)))
    for stage in ("tune", "all"):
        stuck = {Submitted(f"slurm:c:ana:{stage}", "slurm", 1, stage): Alive(pending=copies, never=frozenset(copies))}
        assert (stage, {"tune": 8, "all": 12}[stage]) in counted(orders(plan, states, shapes(), Workers(stuck), None))
        held = {Submitted(f"slurm:c:ana:{stage}", "slurm", 1, stage): Alive(pending=copies, held=frozenset(copies))}
        assert stage not in dict(counted(orders(plan, states, shapes(), Workers(held), None)))


def test_the_cap_counts_workers_of_other_plans_and_of_tasks_that_are_no_more(tuned):
    _, plan, seen = tuned
    assert counted(orders(plan, seen, shapes(workers=10), NOBODY, None, others=7)) == [("tune", 3), ("all", 3)]
    other = {Submitted("slurm:c:ana:a", "slurm", 1, "all", frozenset({"gone"})): Alive(running=tuple("abcd"))}
    assert counted(orders(plan, seen, shapes(workers=10), Workers(other), None)) == [("tune", 6), ("all", 6)]


def test_what_is_replaced_is_what_waits_behind_jobs_or_cannot_start_of_this_plan_and_user():
    behind = Alive(pending=("b",), behind=frozenset("b"))
    workers = Workers(
        {
            Submitted("slurm:c:ana:1", "slurm", 1): Alive(running=("r",), pending=("p", "n"), never=frozenset("n")),
            Submitted("slurm:c:ana:2", "slurm", 1): behind,
            Submitted("slurm:c:ana:3", "slurm", 2): behind,
            Submitted("slurm:c:bob:4", "slurm", 1): behind,
        }
    )
    stay, gone = workers.without_waiting(1, "slurm:c:ana:")
    assert gone == ["n", "b"]
    assert [alive.pending for alive in stay.alive.values()] == [("p",), (), ("b",), ("b",)]
