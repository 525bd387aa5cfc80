"""The AWD-LSTM model against its paper, its reference implementation and a literal LSTM."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from optathlon.tasks.language import TASKS
from optathlon.tasks.language.awd_lstm.model import AwdLstmModel, WeightDropLSTM, locked_dropout

NO_DROPOUT = {"dropout": 0.0, "dropouth": 0.0, "dropouti": 0.0, "dropoute": 0.0, "wdrop": 0.0}
SMALL = {"emsize": 6, "nhid": 10, "nlayers": 3, "dropout": 0.4, "dropouth": 0.3, "dropouti": 0.65, "dropoute": 0.1}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.default_generator.manual_seed(5)


def small(**changes: float) -> AwdLstmModel:
    torch.default_generator.manual_seed(0)
    return AwdLstmModel(30, **(SMALL | {"wdrop": 0.5} | changes))  # type: ignore[arg-type]


def words(steps: int = 7, streams: int = 4) -> Tensor:
    return torch.randint(30, (steps, streams), generator=torch.Generator().manual_seed(1))


def literal_lstm(x: Tensor, layer: WeightDropLSTM, weight_hh: Tensor) -> Tensor:
    """The textbook equations, one step at a time."""
    hidden = cell = x.new_zeros(x.shape[1], weight_hh.shape[1])
    outputs = []
    for step in x:
        gates = step @ layer.weight_ih.T + layer.bias_ih + hidden @ weight_hh.T + layer.bias_hh
        enter, forget, candidate, leave = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
        hidden = torch.sigmoid(leave) * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs)


def test_the_paper_has_24_221_600_parameters() -> None:
    names = ("emsize", "nhid", "nlayers", *NO_DROPOUT)
    settings = TASKS[0].protocols["paper"].settings
    with torch.device("meta"):
        model = AwdLstmModel(10_000, **{name: settings[name] for name in names})  # type: ignore[arg-type]
    assert sum(p.numel() for p in model.parameters()) == 24_221_600


def test_weights_start_as_in_the_reference() -> None:
    model = small(nhid=50)
    assert model.encoder.weight.abs().max() <= 0.1
    assert model.encoder.weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert not model.decoder_bias.any()
    for layer, width in zip(model.layers, (50, 50, 6), strict=True):
        for parameter in layer.parameters():
            assert 0.8 * width**-0.5 < parameter.abs().max() <= width**-0.5


def test_evaluation_is_a_literal_stack_of_lstms_with_a_tied_decoder() -> None:
    model = small().eval()
    tokens = words()
    x = model.encoder.weight[tokens]
    for layer in model.layers:
        assert isinstance(layer, WeightDropLSTM)
        x = literal_lstm(x, layer, layer.weight_hh)
    output = model(tokens, model.no_memory(4))
    torch.testing.assert_close(output.raw, x)
    torch.testing.assert_close(output.dropped, x)
    torch.testing.assert_close(model.decode(x), x @ model.encoder.weight.T + model.decoder_bias)


def test_layers_compute_what_torchs_lstm_computes() -> None:
    layer = WeightDropLSTM(5, 8, wdrop=0.5).eval()
    reference = nn.LSTM(5, 8)
    reference.load_state_dict({f"{name}_l0": value for name, value in layer.state_dict().items()})
    x, memory = torch.randn(6, 3, 5), (torch.randn(1, 3, 8), torch.randn(1, 3, 8))
    for ours, theirs in zip(layer(x, memory)[1], reference(x, memory)[1], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_two_windows_with_the_memory_between_are_one_long_window() -> None:
    model = small().eval()
    tokens = words(steps=9)
    whole = model(tokens, model.no_memory(4))
    first = model(tokens[:4], model.no_memory(4))
    second = model(tokens[4:], first.memory)
    torch.testing.assert_close(torch.cat([first.raw, second.raw]), whole.raw)
    torch.testing.assert_close(second.memory, whole.memory)


def test_locked_dropout_drops_the_same_places_at_every_step_and_keeps_the_mean() -> None:
    dropped = locked_dropout(torch.ones(5, 100, 200), 0.3, training=True)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert (dropped == dropped[0]).all()
    assert (dropped[0] == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert not (dropped[0] == dropped[0, 0]).all(), "streams have masks of their own"
    assert locked_dropout(dropped, 0.3, training=False) is dropped


def test_embedding_dropout_drops_whole_words_at_all_their_places_and_rescales_the_others() -> None:
    torch.default_generator.manual_seed(0)
    model = AwdLstmModel(2000, **(SMALL | {"wdrop": 0.0, "dropoute": 0.25}))  # type: ignore[arg-type]
    tokens = torch.arange(2000).repeat(2, 3, 1).flatten(1).T
    factor = model.embed(tokens) / model.encoder(tokens)
    by_word = factor.view(3, 2000, 2, -1).transpose(0, 1).flatten(1)
    torch.testing.assert_close(by_word, by_word[:, :1].expand_as(by_word))
    kept = by_word[:, 0] > 0
    torch.testing.assert_close(by_word[kept, 0], torch.full((int(kept.sum()),), 1 / 0.75))
    assert 1 - kept.float().mean() == pytest.approx(0.25, abs=0.03)


def test_weight_drop_drops_each_hidden_weight_alone_and_its_gradient_is_the_masked_one() -> None:
    layer = WeightDropLSTM(5, 40, wdrop=0.5)
    x, memory = torch.randn(6, 3, 5), (torch.zeros(1, 3, 40), torch.zeros(1, 3, 40))
    torch.default_generator.manual_seed(3)
    output = layer(x, memory)[0]
    torch.default_generator.manual_seed(3)
    mask = nn.functional.dropout(torch.ones(160, 40), 0.5)
    assert (mask == 0).float().mean() == pytest.approx(0.5, abs=0.03)
    expected = literal_lstm(x, layer, layer.weight_hh * mask)
    torch.testing.assert_close(output, expected)
    weights = list(layer.parameters())
    direction = torch.randn_like(output)
    ours = torch.autograd.grad((output * direction).sum(), weights)
    theirs = torch.autograd.grad((expected * direction).sum(), weights)
    torch.testing.assert_close(ours, theirs)
    assert not layer(x, memory)[0].equal(output), "every forward draws a new mask"


def test_dropouts_lie_where_the_reference_has_them() -> None:
    """Only the last output is dropped in `dropped`; between layers and before them the inputs are."""
    for place in ("dropout", "dropouth", "dropouti", "dropoute", "wdrop"):
        model = small(**(NO_DROPOUT | {place: 0.5}))
        plain = copy.deepcopy(model).eval()(words(), model.no_memory(4))
        output = model(words(), model.no_memory(4))
        assert output.raw.equal(plain.raw) == (place == "dropout"), place
        assert output.dropped.equal(output.raw) == (place != "dropout"), place


def test_training_goes_on_after_an_evaluation_with_the_same_parameters() -> None:
    model = small()
    names = [name for name, _ in model.named_parameters()]
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    for mode in (True, False, True, False, True):
        model.train(mode)
        output = model(words(), model.no_memory(4))
        assert [name for name, _ in model.named_parameters()] == names
    model.decode(output.dropped).sum().backward()
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_every_parameter_is_named_once_the_tied_matrix_too() -> None:
    shapes = {name: tuple(p.shape) for name, p in small().named_parameters()}
    assert [name for name, shape in shapes.items() if shape == (30, 6)] == ["encoder.weight"]
    assert list(small().state_dict()) == list(shapes)
