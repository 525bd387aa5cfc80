"""The Llama task: subwords that lose nothing, scores a word, and a workload that keeps the loop's contract."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.language import TASKS
from optathlon.tasks.language.llama.workload import LlamaWorkload, model_of
from optathlon.tasks.language.settings import LlamaSettings
from optathlon.tasks.language.text import subwords
from optathlon.tasks.language.text.corpus import EOS, UNK, Corpus
from tests.miniatures import put_miniatures

TASK = next(task for task in TASKS if task.name == "wikitext103-llama")
SMOKE = TASK.protocols["smoke"]
TEXT = " = Ein Titel = \n\n Die <unk> Straße @-@ 3 <unk> \n 東京 is a city\n" * 30


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "wikitext-103")
    return root


def build(root: Path, **how: int) -> LlamaWorkload:
    return LlamaWorkload(SMOKE.override({"batch": 16, "micro_batch": 8}), root, **how)  # type: ignore[arg-type]


def corpus(text: str) -> Corpus:
    ids: dict[str, int] = {EOS: 0}
    tokens = [ids.setdefault(word, len(ids)) for word in text.replace("\n", f" {EOS} ").split()]
    array = np.array(tokens, dtype=np.uint32)
    return Corpus(tuple(ids), array, array[:20], array[:10])


# --- subwords ----------------------------------------------------------------------------------------------------


def test_subwords_hold_the_whole_text(tmp_path: Path) -> None:
    small_corpus = corpus(TEXT)
    text = "".join(subwords.lines(small_corpus.train, small_corpus.words))
    assert text.split() == TEXT.split()
    assert text.count("\n") == TEXT.count("\n")
    subwords.load_or_train(small_corpus, 300, tmp_path)
    (folder,) = (tmp_path / subwords.CACHE).iterdir()
    tokenizer = subwords.Tokenizer.from_file(str(folder / subwords.TOKENIZER))
    ids = np.fromfile(folder / "train.u32", dtype=np.uint32)
    assert tokenizer.decode(ids.tolist(), skip_special_tokens=False).replace(UNK, f" {UNK}") == text


def test_an_unknown_word_is_one_subword(tmp_path: Path) -> None:
    made = subwords.load_or_train(corpus("a <unk> b\n" * 40), 300, tmp_path)
    assert made.sizes["train"].subwords == 40 * 4


def test_what_is_cut_in_the_middle_of_a_line_gains_no_line_break() -> None:
    found = corpus("a b\nc d\n")
    assert "".join(subwords.lines(found.train[:4], found.words)) == " a b\n c"


def test_sizes_count_words_with_line_ends_and_bytes(tmp_path: Path) -> None:
    made = subwords.load_or_train(corpus("ä b\n\n"), 300, tmp_path)
    assert (made.sizes["train"].words, made.sizes["train"].bytes) == (4, len(" ä b\n\n".encode()))


def test_the_same_text_gives_the_same_subwords_and_another_gives_others(tmp_path: Path) -> None:
    first, second = (subwords.load_or_train(corpus(TEXT), 300, tmp_path / name) for name in "ab")
    assert all(np.array_equal(first.ids[split], second.ids[split]) for split in subwords.SPLITS)
    subwords.load_or_train(corpus(TEXT + "more\n"), 300, tmp_path / "a")
    subwords.load_or_train(corpus(TEXT), 290, tmp_path / "a")
    subwords.load_or_train(corpus(TEXT), 300, tmp_path / "a")
    assert len(list((tmp_path / "a" / subwords.CACHE).iterdir())) == 3


@pytest.mark.parametrize("name", ["test.u32", "train.u32", "tokenizer.json", "about.json"])
def test_a_cache_of_which_a_file_is_cut_short_edited_or_gone_is_made_again(name: str, tmp_path: Path) -> None:
    first = subwords.load_or_train(corpus(TEXT), 300, tmp_path)
    (folder,) = (tmp_path / subwords.CACHE).iterdir()
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for content in (whole[name][:-4], bytes(len(whole[name])), b"", b"\xf0" + whole[name], None):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        again = subwords.load_or_train(corpus(TEXT), 300, tmp_path)
        assert np.array_equal(again.ids["train"], first.ids["train"])
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_a_damaged_cache_below_data_that_are_only_read_is_made_again_below_the_users(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "cache"))
    first = subwords.load_or_train(corpus(TEXT), 300, tmp_path)
    (folder,) = (tmp_path / subwords.CACHE).iterdir()
    (folder / "train.u32").unlink()  # which `first` has mapped
    (folder / "train.u32").write_bytes(b"")
    monkeypatch.setattr(subwords.places, "is_writable", lambda _: False)
    for _ in range(2):
        assert np.array_equal(subwords.load_or_train(corpus(TEXT), 300, tmp_path).ids["train"], first.ids["train"])
    assert (folder / "train.u32").read_bytes() == b""


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"expected a --data folder, or else an \$OPTATHLON_CACHE, that can be"):
        subwords.load_or_train(corpus(TEXT), 300, tmp_path / "file")


def test_scores_are_a_word_s_and_a_byte_s() -> None:
    size = subwords.Size(words=100, bytes=500, subwords=201)
    found = subwords.scores(nats=300.0, scored=201, size=size)
    assert found["loss"] == pytest.approx(3.0)
    assert found["perplexity"] == pytest.approx(math.exp(3.0))
    assert found["bits_per_byte"] == pytest.approx(300 / 500 / math.log(2))
    assert subwords.scores(1e6, 201, size)["perplexity"] == math.inf


# --- the model and the workload ------------------------------------------------------------------------------------


def test_the_model_at_paper_scale_has_the_weights_that_its_description_says() -> None:
    with torch.device("meta"):
        model = model_of(LlamaSettings.read(TASK.protocols["paper"]), 32_000)
    layer = 4 * 512**2 + 3 * 512 * 1408 + 2 * 512
    assert sum(p.numel() for p in model.parameters()) == 32_000 * 512 + 12 * layer + 512


def test_every_matrix_starts_with_the_deviation_of_the_settings() -> None:
    torch.default_generator.manual_seed(0)
    model = model_of(LlamaSettings.read(SMOKE.override({"settings": {"initializer_range": 0.3}})), 300)
    found = {name: float(p.detach().std()) for name, p in model.named_parameters() if p.ndim == 2}
    assert found == pytest.approx(dict.fromkeys(found, 0.3), rel=0.05)


@pytest.mark.slow
def test_the_workload_keeps_the_contract(root: Path) -> None:
    prove(lambda **how: build(root, **how))


def test_an_epoch_reads_every_block_at_most_once_and_each_target_is_the_next_subword(root: Path) -> None:
    workload = build(root)
    ids = workload.text.ids["train"].astype(np.int64)
    read_: list[tuple[int, ...]] = []
    for batch in workload.batches(0):
        tokens, targets = batch.data
        assert torch.equal(tokens[:, 1:], targets[:, :-1])
        read_.extend(tuple(row.tolist()) for row in tokens)
    context = workload.settings.context
    blocks = [tuple(ids[i : i + context].tolist()) for i in range(0, workload.blocks * context, context)]
    assert set(read_) <= set(blocks)
    assert len(read_) == len(blocks) // 16 * 16


def test_evaluation_scores_every_subword_but_the_first(root: Path) -> None:
    workload = build(root)
    ids, context = workload.text.ids["test"], workload.settings.context
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, context):
            block = torch.from_numpy(ids[start : start + context + 1].astype(np.int64))
            nats += F.cross_entropy(workload.model(block[None, :-1]).logits[0], block[1:], reduction="sum").item()
    expected = subwords.scores(nats, len(ids) - 1, workload.text.sizes["test"])
    assert workload.evaluate("test") == pytest.approx(expected, rel=1e-5)


def test_norms_and_the_tied_matrix_are_tagged(root: Path) -> None:
    tags = build(root).tags("model")
    assert tags["model.embed_tokens.weight"] == {"embedding", "head"}
    assert tags["model.norm.weight"] == tags["model.layers.0.input_layernorm.weight"] == {"norm"}
    assert tags["model.layers.0.self_attn.q_proj.weight"] == set()


def test_a_batch_larger_than_the_text_is_refused(root: Path) -> None:
    with pytest.raises(TaskError, match=r"protocol.batch: 100000 blocks of 64 subwords"):
        LlamaWorkload(SMOKE.override({"batch": 100_000}), root)


def test_an_evaluation_text_of_one_subword_is_refused(root: Path) -> None:
    with pytest.raises(TaskError, match=r"evaluation_tokens: 1 leaves 1 subwords of validation"):
        LlamaWorkload(SMOKE.override({"settings": {"evaluation_tokens": 1}}), root)


def test_heads_that_leave_odd_positions_are_refused() -> None:
    with pytest.raises(TaskError, match=r"protocol\.settings\.hidden: 64 must be an even number times heads 5"):
        LlamaSettings.read(SMOKE.override({"settings": {"heads": 5}}))
