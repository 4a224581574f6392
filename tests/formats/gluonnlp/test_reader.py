"""GluonNLP's models: what real GluonNLP wrote and computed is the oracle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.formats.foreign import Foreign
from plainbert.formats.gluonnlp import params, reader
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from plainbert.nn.names import HEADS, head_of
from plainbert.text.vocab import Vocab

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "gluonnlp"
FLAT = FIXTURES / "flat"
EXPECTED = dict(np.load(FIXTURES / "expected.npz"))
TASKS = {
    "classification": ("classification", 3), "regression": ("regression", 1),
    "question_answering": ("question_answering", 2), "ner": ("token_classification", 5),
}  # fmt: skip


def model_of(found: Foreign) -> torch.nn.Module:
    config = found.config
    head = head_of(config.architectures[0], config.problem_type, config.num_labels)
    assert head is not None
    model = Bert(config) if head == "embedding" else MODELS[head](config)  # type: ignore[arg-type]
    checkpoint.load(model, found.tensors)
    return model.eval()


def inputs(suffix: str = "") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, types and mask; (B, L)."""
    ids, types = (torch.from_numpy(EXPECTED[f"data{k}{suffix}"]).long() for k in (0, 1))
    lengths = torch.from_numpy(EXPECTED[f"data2{suffix}"]).long()
    return ids, types, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


def close(got: torch.Tensor, wanted: np.ndarray) -> bool:
    return float((got - torch.from_numpy(wanted)).abs().max()) <= 1e-5


def encoded(model: Any, suffix: str = "") -> Any:
    ids, types, mask = inputs(suffix)
    with torch.no_grad():
        output = getattr(model, "bert", model)(ids, types, mask)
    # GluonNLP's hidden vectors behind the end of a sequence are zero.
    return output._replace(hidden=output.hidden * mask[..., None])


def test_pretraining_model() -> None:
    found = reader.read(FIXTURES / "bert_tiny.params", num_heads=4)
    assert found.config.architectures == ("BertForPreTraining",)
    assert (found.format, found.unused) == ("gluonnlp", ())
    assert found.config == BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        architectures=("BertForPreTraining",),
    )
    model: Any = model_of(found)
    output = encoded(model)
    assert close(output.hidden, EXPECTED["bert_seq"])
    assert close(output.pooled, EXPECTED["bert_pooled"])
    with torch.no_grad():
        assert close(model.cls.seq_relationship(output.pooled), EXPECTED["bert_nsp"])
        places = torch.from_numpy(EXPECTED["masked_positions"]).long()
        hidden = output.hidden.gather(1, places[..., None].expand(-1, -1, 32))
        assert close(model.mlm(hidden, None, None), EXPECTED["bert_mlm"])


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("file", ["{}.params", "export/{}-0000.params"])
@pytest.mark.parametrize("suffix", ["", "_b"])
def test_task_models(name: str, file: str, suffix: str) -> None:
    head, classes = TASKS[name]
    found = reader.read(FIXTURES / file.format(name), num_heads=4)
    assert found.config.architectures == (HEADS[head].architecture,)
    assert found.config.problem_type == HEADS[head].problem_type
    assert found.config.num_labels == classes
    assert found.unused == ()
    model: Any = model_of(found)
    output = encoded(model, suffix)
    layer = getattr(model, "qa_outputs" if head == "question_answering" else "classifier")
    pooled = head in ("classification", "regression")
    with torch.no_grad():
        logits = layer(output.pooled if pooled else output.hidden)
    assert close(logits, EXPECTED[f"{name}_out{suffix}"])


@pytest.mark.parametrize("name", ["bert_tiny", *TASKS])
def test_written_as_gluonnlp_writes(tmp_path: Path, name: str) -> None:
    file = FIXTURES / f"{name}.params"
    found = reader.read(
        file,
        num_heads=4,
        labels=list("abcde")[: TASKS[name][1]]
        if name in TASKS and name != "question_answering"
        else None,
    )
    vocab = Vocab.read(FIXTURES / "vocab.json")
    backwards = dict(reversed(found.tensors.items()))  # the order is gluon's, not the caller's
    lost = reader.write(tmp_path, backwards, found.config, vocab, lower=True)
    assert lost == ()
    assert (tmp_path / "model.params").read_bytes() == file.read_bytes()
    assert (tmp_path / "model.vocab").read_bytes() == (FIXTURES / "vocab.json").read_bytes()
    again = reader.read(tmp_path)  # config.json beside keeps heads, labels and casing
    assert again.config == found.config
    assert again.assumed == ()
    assert (again.vocabulary, again.lower) == (tmp_path / "model.vocab", True)


@pytest.mark.parametrize("version", ["0.6.0", "0.7.1", "0.8.3", "0.9.2", "0.10.0"])
def test_flat_names_of_every_version(version: str) -> None:
    plain = reader.read(FLAT / "structural.params", num_heads=2)
    flat = reader.read(FLAT / f"flat_{version}.params", num_heads=2)
    assert flat.config == plain.config
    assert flat.unused == ()
    assert flat.tensors.keys() == plain.tensors.keys()
    for name, tensor in plain.tensors.items():
        assert torch.equal(flat.tensors[name], tensor), name


def test_repaired_biases_of_0_9() -> None:
    """What real GluonNLP 0.9.2 computed with these weights comes out only after the repair."""
    stored = dict(np.load(FLAT / "expected_0.9.2.npz"))
    ids, types = (torch.from_numpy(stored[name]).long() for name in ("ids", "types"))
    mask = (torch.arange(6) < torch.from_numpy(stored["lengths"])[:, None]).long()
    differences = []
    for repair in (True, False):
        model: Any = model_of(reader.read(FLAT / "structural.params", 2, repair_bias=repair))
        with torch.no_grad():
            hidden = model.bert(ids, types, mask).hidden * mask[..., None]
        differences.append(float((hidden - torch.from_numpy(stored["hidden"])).abs().max()))
    assert differences[0] <= 1e-5
    assert differences[1] > 1e-2
    # What 0.9 would have stored, to mean the same as the other file does.
    mixed = FIXTURES / "bert_tiny_as_gluonnlp09.params"
    repaired = reader.read(mixed, 4, repair_bias=True).tensors
    wanted = reader.read(FIXTURES / "bert_tiny.params", 4).tensors
    assert all(torch.equal(repaired[name], wanted[name]) for name in wanted)


def changed(folder: Path, changes: dict[str, torch.Tensor | None], name: str = "bert_tiny") -> Path:
    """A fixture with arrays put in, or taken out where they are None."""
    arrays: dict[str, Any] = {**params.read(FIXTURES / f"{name}.params"), **changes}
    path = folder / "changed.params"
    params.write(path, {key: value for key, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize("left_out", ["word_embed.0.weight", "decoder.3.weight"])
def test_tied_weight_stored_once(tmp_path: Path, left_out: str) -> None:
    whole = reader.read(FIXTURES / "bert_tiny.params", 4)
    found = reader.read(changed(tmp_path, {left_out: None}), 4)
    assert found.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(found.tensors[name], whole.tensors[name]) for name in whole.tensors)


def test_deduplicated_file(tmp_path: Path) -> None:
    whole = reader.read(FIXTURES / "bert_tiny.params", 4)
    assert reader.write(tmp_path, whole.tensors, whole.config, deduplicate=True) == ()
    names = params.read(tmp_path / "model.params")
    assert "word_embed.0.weight" not in names
    assert "decoder.3.weight" in names
    assert reader.read(tmp_path).tensors.keys() == whole.tensors.keys()


def test_untied_matrix(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"decoder\.3\.weight differs from word_embed"):
        reader.read(changed(tmp_path, {"decoder.3.weight": torch.ones(100, 32)}), 4)


@pytest.mark.parametrize("row", [0, 101, 39 * 1000])
def test_large_untied_matrix(tmp_path: Path, row: int) -> None:
    """Of a large matrix only some rows are compared: the first, and others evenly spread."""
    arrays = dict(params.read(FIXTURES / "bert_tiny.params"))
    words = torch.randn(40000, 32)
    arrays["word_embed.0.weight"], arrays["decoder.3.weight"] = words, words.clone()
    arrays["decoder.3.bias"] = torch.zeros(40000)
    params.write(tmp_path / "x.params", arrays)
    assert reader.read(tmp_path, 4).config.vocab_size == 40000
    wide = {name: array.clone() for name, array in arrays.items()}
    wide["decoder.3.weight"][row, 3] += 1
    params.write(tmp_path / "x.params", wide)
    with pytest.raises(FormatError, match=r"decoder\.3\.weight differs from word_embed"):
        reader.read(tmp_path, 4)


def test_parts_that_are_missing_or_do_not_fit(tmp_path: Path) -> None:
    cell = "encoder.transformer_cells.1"
    for changes, message in (
        ({"pooler.weight": None, "pooler.bias": None, "x": torch.ones(1)}, None),
        ({"encoder.position_weight": None}, "0 arrays named encoder.position_weight"),
        ({f"{cell}.proj.bias": None}, r"lacks .*transformer_cells\.1\.proj\.bias"),
        ({"token_type_embed.0.weight": None}, "RoBERTa and DistilBERT"),
        ({f"{cell}.proj.bias": torch.ones(31)}, r"proj\.bias has shape \(31,\).* \(32,\)"),
        ({"classifier.weight": torch.ones(3, 32)}, r"classifier\.weight has shape \(3, 32\)"),
        ({"word_embed.0.weight": torch.ones(3), "decoder.3.weight": None}, "a matrix is expected"),
        ({"classifier.1.weight": torch.ones(3, 32)}, "alone, without its weight or bias"),
    ):
        path = changed(tmp_path, changes)
        if message is None:
            found = reader.read(path, 4)
            assert found.unused == ("x",)
            assert found.config.architectures == ("BertForPreTraining",)
            continue
        with pytest.raises(CheckpointError, match=message):
            reader.read(path, 4)


def test_heads_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    found = reader.read(changed(tmp_path, {"decoder.3.bias": None, "classifier.bias": None}), 4)
    assert found.config.architectures == ("BertModel",)
    assert set(found.unused) == {
        "classifier.weight",
        "decoder.0.weight",
        "decoder.0.bias",
        "decoder.2.gamma",
        "decoder.2.beta",
    }
    model_of(found)
    words = reader.read(changed(tmp_path, {"classifier.weight": None}), 4)
    assert words.config.architectures == ("BertForMaskedLM",)
    sentences = reader.read(changed(tmp_path, {"decoder.0.weight": None}), 4)
    assert sentences.config.architectures == ("BertForNextSentencePrediction",)


def test_last_layer_of_older_scripts(tmp_path: Path) -> None:
    """BERTRegression's own name, a head without dropout before it, two heads at once."""
    moved = {f"classifier.1.{kind}": None for kind in ("weight", "bias")}
    weight, bias = torch.ones(1, 32), torch.ones(1)
    for name, given in (
        ("regression.1", (weight, bias)),
        ("regression.0", (weight, bias)),
        ("classifier.0", (weight, bias)),
        ("classifier.0", (torch.ones(4, 32), torch.ones(4))),
    ):
        new = {f"{name}.weight": given[0], f"{name}.bias": given[1]}
        found = reader.read(changed(tmp_path, {**moved, **new}, "classification"), 4)
        assert found.config.num_labels == len(given[1])
        assert found.config.problem_type == (
            "regression" if len(given[1]) == 1 else "single_label_classification"
        )
        model_of(found)
    both = {"span_classifier.weight": torch.ones(2, 32), "span_classifier.bias": torch.ones(2)}
    with pytest.raises(CheckpointError, match="last layers of several tasks"):
        reader.read(changed(tmp_path, both, "classification"), 4)
    twice = {"classifier.0.weight": weight, "classifier.0.bias": bias}
    with pytest.raises(CheckpointError, match=r"both classifier\.1\.weight and classifier\.0"):
        reader.read(changed(tmp_path, twice, "classification"), 4)


def test_number_of_heads(tmp_path: Path) -> None:
    source = FLAT / "structural.params"
    with pytest.raises(UsageError, match="8 units form.*--num_heads"):
        reader.read(source)
    with pytest.raises(UsageError, match="3 attention heads do not divide its 8 units"):
        reader.read(source, 3)
    named = tmp_path / "bert_2_8_4_some_words_uncased-0123abcd.params"
    shutil.copy(source, named)
    found = reader.read(named)
    assert found.config.num_attention_heads == 4
    assert found.assumed[0] == "num_attention_heads=4: the name of the file"
    assert found.lower is True
    assert reader.read(named, 2).config.num_attention_heads == 2
    wide = {
        name: torch.zeros([128 if size == 8 else size for size in tensor.shape])
        for name, tensor in params.read(source).items()
    }
    params.write(tmp_path / "wide.params", wide)
    found = reader.read(tmp_path / "wide.params")
    assert (found.config.hidden_size, found.config.num_attention_heads) == (128, 2)
    assert "num_attention_heads=2: units / 64" in found.assumed


def test_ernie_by_name(tmp_path: Path) -> None:
    shutil.copy(FLAT / "structural.params", tmp_path / "ernie_2_8_2_baidu_ernie_uncased.params")
    found = reader.read(tmp_path)
    assert (found.config.hidden_act, found.config.layer_norm_eps) == ("relu", 1e-5)
    assert (found.config.num_attention_heads, found.lower) == (2, True)


def test_config_beside(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "ner.params", tmp_path)
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=8,
        intermediate_size=64,
        max_position_embeddings=40,
        layer_norm_eps=1e-5,
        id2label=("O", "B-X", "I-X", "B-Y", "I-Y"),
        extra={"do_lower_case": False},
    )
    config.save(tmp_path / "bert_config.json")
    found = reader.read(tmp_path)
    assert found.config.id2label == config.id2label
    assert found.config.num_attention_heads == 8
    assert found.config.layer_norm_eps == 1e-5
    assert (found.lower, found.assumed) == (False, ())
    given = reader.read(tmp_path, labels=list("abcde"))
    assert given.config.id2label == tuple("abcde")
    with pytest.raises(UsageError, match="5 classes, but 2 labels were given: a, b"):
        reader.read(tmp_path, labels=["a", "b"])
    config.replace(hidden_size=64).save(tmp_path / "bert_config.json")
    with pytest.raises(CheckpointError, match=r"hidden_size=64, but the weights.*have 32"):
        reader.read(tmp_path)


def test_placeholders_for_labels() -> None:
    found = reader.read(FIXTURES / "ner.params", 4)
    assert found.config.id2label == tuple(f"LABEL_{row}" for row in range(5))
    assert reader.read(FIXTURES / "question_answering.params", 4).config.id2label is None


def test_folders(tmp_path: Path) -> None:
    assert reader.looks_like(FIXTURES)
    assert reader.looks_like(FIXTURES / "ner.params")
    assert not reader.looks_like(tmp_path)
    assert not reader.looks_like(FIXTURES / "vocab.json")
    with pytest.raises(CheckpointError, match=r"bert_tiny\.params.*ner\.params"):
        reader.read(FIXTURES)
    with pytest.raises(CheckpointError, match="there is none"):
        reader.read(tmp_path)


def test_vocabulary_beside(tmp_path: Path) -> None:
    weights = tmp_path / "bert_12_768_2_openwebtext_book_corpus_wiki_en_uncased-a56e2401.params"
    shutil.copy(FLAT / "structural.params", weights)

    def found() -> str | None:
        path = reader.read(weights).vocabulary
        return None if path is None else path.name

    assert found() is None
    (tmp_path / "net-symbol.json").write_text("{}")
    (tmp_path / "words.json").write_text(json.dumps({"idx_to_token": []}))
    assert found() == "words.json"
    (tmp_path / "vocab.txt").write_text("a")
    assert found() is None  # which one?
    (tmp_path / "book_corpus_wiki_en_uncased-a6607397.vocab").write_text("")
    (tmp_path / "book_corpus_wiki_en_cased-2d62af22.vocab").write_text("")
    assert found() == "book_corpus_wiki_en_uncased-a6607397.vocab"
    (tmp_path / "openwebtext_book_corpus_wiki_en_uncased-a6607397.vocab").write_text("")
    assert found() == "openwebtext_book_corpus_wiki_en_uncased-a6607397.vocab"
    (tmp_path / f"{weights.stem}.vocab").write_text("")
    assert found() == f"{weights.stem}.vocab"


@pytest.mark.parametrize(
    ("name", "lower"), [("x_cased-00000000", False), ("x_uncased", True), ("plain", None)]
)
def test_casing_by_name(tmp_path: Path, name: str, lower: bool | None) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / f"{name}.params"
    shutil.copy(FLAT / "structural.params", path)
    assert reader.read(path, 2).lower is lower


def test_written_with_special_tokens_first(tmp_path: Path) -> None:
    found = reader.read(FLAT / "structural.params", 2)
    words = ["[PAD]", "x", "[UNK]", "y", "[CLS]", "[SEP]", "[MASK]", "z"]  # of 11 rows
    vocab = Vocab(words)
    reader.write(tmp_path, found.tensors, found.config, vocab, reindex=True)
    written = Vocab.read(tmp_path / "model.vocab")
    assert written.tokens[:5] == ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
    again = reader.read(tmp_path)
    assert again.config.pad_token_id == 1
    for part in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        for token in words:
            before, after = found.tensors[part], again.tensors[part]
            assert torch.equal(after[written.id(token)], before[vocab.id(token)]), token
        assert torch.equal(again.tensors[part][8:], found.tensors[part][8:])
    with pytest.raises(CheckpointError, match="none was given"):
        reader.write(tmp_path, found.tensors, found.config, reindex=True)
    more = Vocab([*words, *map(str, range(12))])
    with pytest.raises(CheckpointError, match="20 tokens, the model 11"):
        reader.write(tmp_path, found.tensors, found.config, more, reindex=True)


def test_what_has_no_place(tmp_path: Path) -> None:
    whole = reader.read(FIXTURES / "bert_tiny.params", 4)
    head = {"qa_outputs.weight": torch.ones(2, 32), "qa_outputs.bias": torch.ones(2)}
    tensors = {**whole.tensors, **head, "cls.predictions.decoder.bias": torch.ones(100)}
    config = whole.config.replace(architectures=("BertForQuestionAnswering",))
    lost = reader.write(tmp_path, tensors, config)
    assert set(lost) == {name for name in whole.tensors if name.startswith("cls.")} | {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }
    assert reader.read(tmp_path).config.architectures == ("BertForQuestionAnswering",)


def test_heads_without_architecture_and_half_precision(tmp_path: Path) -> None:
    found = reader.read(FIXTURES / "ner.params", 4)
    half = {name: tensor.bfloat16() for name, tensor in found.tensors.items()}
    reader.write(tmp_path, half, found.config.replace(architectures=()), name="half")
    arrays = params.read(tmp_path / "half.params")
    assert {tensor.dtype for tensor in arrays.values()} == {torch.float32}
    assert "tag_classifier.weight" in arrays
    del half["bert.embeddings.LayerNorm.bias"]
    with pytest.raises(CheckpointError, match=r"lacks bert\.embeddings\.LayerNorm\.bias"):
        reader.write(tmp_path, half, found.config)


def test_all_that_checkpoint_can_write_survives(tmp_path: Path) -> None:
    """A model of every head there and back, through the two names of each weight."""
    config = BertConfig(
        vocab_size=13,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
        id2label=("a", "b", "c"),
    )
    for head, kind in {**MODELS, "embedding": Bert}.items():
        given = config.replace(id2label=("x",)) if head == "regression" else config
        given = given.replace(
            architectures=(HEADS[head].architecture,), problem_type=HEADS[head].problem_type
        )
        model = kind(given)
        prefix = "bert." if head == "embedding" else ""
        state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
        folder = tmp_path / head
        folder.mkdir()
        lost = reader.write(folder, state, given)
        assert lost == (("classifier.weight", "classifier.bias") if "choice" in head else ())
        found = reader.read(folder)
        for name in state.keys() - set(lost):
            assert torch.equal(found.tensors[name], state[name]), name
        assert found.tensors.keys() == state.keys() - set(lost)
        if not lost:
            assert found.config.architectures == given.architectures
