import tomllib

import pytest

from optathlon.optimizers import Grid, OptimizerError, default_grid, names, optimizer

ADAMP = optimizer("adamp")


def parse(text: str) -> Grid:
    return Grid.parse(tomllib.loads(text), "sweep.toml: adamp")


def changed(settings, *keys):
    return [tuple(s[k] for k in keys) for s in settings]


def test_without_axes_there_is_one_setting():
    assert Grid().settings(ADAMP) == [ADAMP.resolve({})]


def test_grid_multiplies_and_its_last_list_varies_fastest():
    settings = parse("grid.lr = [1e-3, 1]\ngrid.weight_decay = [0, 0.1]").settings(ADAMP)
    assert changed(settings, "lr", "weight_decay") == [(1e-3, 0.0), (1e-3, 0.1), (1.0, 0.0), (1.0, 0.1)]


def test_zip_moves_together_and_fixed_holds():
    grid = parse(
        """
        fixed.betas = [0.8, 0.9]
        fixed.gain.projection = "off"
        grid.lr = [0.1, 0.2]
        zip = [{weight_decay = 1e-4, proxy.lr_scale = 10}, {weight_decay = 1e-2, proxy.lr_scale = 100}]
        """
    )
    settings = grid.settings(ADAMP)
    rows = changed(settings, "lr", "weight_decay", "proxy.lr_scale")
    assert rows == [(0.1, 1e-4, 10.0), (0.2, 1e-4, 10.0), (0.1, 1e-2, 100.0), (0.2, 1e-2, 100.0)]
    assert all(s["betas"] == [0.8, 0.9] and s["gain.projection"] == "off" for s in settings)


def test_random_draws_are_a_function_of_the_seed_inside_their_bounds_and_short():
    text = """
    random.trials = 50
    random.seed = %d
    random.lr.log = [1e-4, 1e-1]
    random.delta.uniform = [0, 1]
    random.gain.projection.choice = ["off", "auto"]
    """
    settings = parse(text % 1).settings(ADAMP)
    assert settings == parse(text % 1).settings(ADAMP)
    assert settings != parse(text % 2).settings(ADAMP)
    assert len(settings) == 50
    assert all(
        1e-4 <= s["lr"] <= 1e-1 and s["lr"] == float(f"{s['lr']:.6g}") and 0 <= s["delta"] <= 1 for s in settings
    )
    assert sum(s["lr"] < 10**-2.5 for s in settings) == pytest.approx(25, abs=2)
    assert {s["gain.projection"] for s in settings} == {"off", "auto"}


def test_random_draws_of_integers_reach_both_bounds():
    settings = parse(
        "random = {trials = 20, seed = 0, channel_dim = {uniform = [0, 2]}, lr = {log = [1, 2]}}"
    ).settings(ADAMP)
    assert {s["channel_dim"] for s in settings} == {0, 1, 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gird.lr = [1]", "unknown key 'gird' (did you mean grid?)"),
        ("grid.lr = []", "grid.lr must be a list of values to try"),
        ("grid.lr = 0.1", "grid.lr must be a list of values to try"),
        ("zip = []", "zip must be a list of tables"),
        ("zip = [{lr = 1}, {delta = 1}]", "every row must have the keys ['lr'], not ['delta']"),
        ("fixed = 1", "fixed must be a table"),
        ("fixed.lr = 1\ngrid.lr = [1]", "lr stands in both fixed and grid"),
        ('fixed.gain.delta = 1\nzip = [{"gain.delta" = 1}]', "gain.delta stands in both fixed and zip"),
        ("grid.lr = [1]\nrandom = {trials = 2, seed = 0, lr = {log = [1, 2]}}", "lr stands in both grid and random"),
        ("random = {seed = 0, lr = {log = [1, 2]}}", "random.trials must be an integer of at least 1, not None"),
        ("random = {trials = 2, lr = {log = [1, 2]}}", "random.seed must be an integer"),
        ("random = {trials = 2, seed = 0}", "random draws nothing"),
        ("random = {trials = 2, seed = 0, lr = {log = [0, 2]}}", "random.lr.log must be two numbers a < b with 0 < a"),
        ("random = {trials = 2, seed = 0, lr = {uniform = [2, 1]}}", "random.lr.uniform must be two numbers a < b"),
        ("random = {trials = 2, seed = 0, lr = {choice = []}}", "random.lr.choice must be a list"),
        ("random = {trials = 2, seed = 0, lr = [1, 2]}", "random.lr must be {log = [a, b]}"),
        ("grid.lr = [1, 1.0]", "two settings are the same: {'lr': 1.0}"),
        ("grid.lrr = [1]", "adamp: unknown hyperparameter 'lrr' (did you mean lr?)"),
        ("grid.lr = ['1e-3']", "adamp: lr = '1e-3': must be a number"),
    ],
)
def test_mistakes_are_named_with_their_place(text, words):
    with pytest.raises(OptimizerError) as caught:
        parse(text).settings(ADAMP)
    assert str(caught.value).startswith("sweep.toml: adamp: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_every_built_in_has_a_default_grid_and_all_have_the_same_number_of_trials(name):
    assert len(default_grid(name).settings(optimizer(name))) == 16


def test_an_optimizer_without_a_grid_is_named():
    with pytest.raises(OptimizerError, match="adampp: has no default grid"):
        default_grid("adampp")
