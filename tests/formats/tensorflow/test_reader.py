"""Google's checkpoints of BERT as models: names, heads, configs, the choice among several."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertConfig as TheirConfig
from transformers import BertForPreTraining

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError, PlainBertError, UsageError
from plainbert.formats.tensorflow import reader
from plainbert.formats.tensorflow.bundle import Bundle
from plainbert.formats.tensorflow.bundle_writer import write_bundle
from plainbert.formats.tensorflow.names import to_google

FIXTURE = Path(__file__).parents[2] / "fixtures" / "tensorflow"
CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=1,
    intermediate_size=24,
    max_position_embeddings=10,
    architectures=("BertModel",),
)
SIZES = {"V": 30, "D": 64, "P": 10, "T": 2, "F": 24, "2": 2}
Variables = dict[str, Tensor]


def variables(*heads: str, classes: int = 3) -> Variables:
    """Drawn variables by Google's names: the body, the pooler and some heads."""
    found = {}
    for name, each in to_google(2).items():
        if name.startswith(("bert.", *heads)):
            found[each.google] = torch.randn([(SIZES | {"C": classes})[x] for x in each.shape])
    return found


def stored(folder: Path, given: Variables, name: str = "bert_model.ckpt") -> Path:
    folder.mkdir(exist_ok=True)
    write_bundle(folder / name, given)
    return folder


def test_real_checkpoint() -> None:
    foreign = reader.read(FIXTURE)
    bundle = Bundle.open(FIXTURE / "bert_model.ckpt")
    assert foreign.format == "tensorflow"
    assert foreign.config.size_name == "bert_2_4_4"
    assert foreign.config.architectures == ("BertForPreTraining",)
    assert foreign.vocabulary == FIXTURE / "vocab.txt"
    assert foreign.lower is None
    assert foreign.assumed == ()
    assert len(foreign.tensors) + len(foreign.unused) == 139
    others = {"global_step"}
    assert {n for n in foreign.unused if not n.endswith(("/adam_m", "/adam_v"))} == others
    # The names and shapes are those of the class that transformers has for it.
    theirs = BertForPreTraining(
        TheirConfig(**json.loads((FIXTURE / "bert_config.json").read_text()))
    )
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    state = {name: each for name, each in theirs.state_dict().items() if name not in tied}
    assert {n: t.shape for n, t in foreign.tensors.items()} == {
        n: t.shape for n, t in state.items()
    }
    for ours, google, turned in (
        (
            "bert.encoder.layer.1.intermediate.dense.weight",
            "bert/encoder/layer_1/intermediate/dense/kernel",
            True,
        ),
        ("cls.seq_relationship.weight", "cls/seq_relationship/output_weights", False),
        (
            "cls.predictions.transform.LayerNorm.weight",
            "cls/predictions/transform/LayerNorm/gamma",
            False,
        ),
        ("bert.embeddings.LayerNorm.bias", "bert/embeddings/LayerNorm/beta", False),
    ):
        value = bundle.tensor(google)
        assert torch.equal(foreign.tensors[ours], value.T if turned else value)


def test_kernels_are_views_of_the_file(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", variables())
    foreign = reader.read(folder)
    weight = foreign.tensors["bert.pooler.dense.weight"]
    assert weight.stride() == (1, 64)
    assert not weight.untyped_storage().resizable()


@pytest.mark.parametrize(
    ("heads", "classes", "architecture", "problem", "labels"),
    [
        ((), 0, "BertModel", None, None),
        (("cls.",), 0, "BertForPreTraining", None, None),
        (("cls.pred",), 0, "BertForMaskedLM", None, None),
        (("cls.seq",), 0, "BertForNextSentencePrediction", None, None),
        (("qa",), 0, "BertForQuestionAnswering", None, None),
        (
            ("classifier",),
            3,
            "BertForSequenceClassification",
            "single_label_classification",
            ("LABEL_0", "LABEL_1", "LABEL_2"),
        ),
        (("classifier",), 1, "BertForSequenceClassification", "regression", ("LABEL_0",)),
        (
            ("classifier", "cls."),
            2,
            "BertForSequenceClassification",
            "single_label_classification",
            ("LABEL_0", "LABEL_1"),
        ),
    ],
)
def test_heads(
    tmp_path: Path,
    heads: tuple[str, ...],
    classes: int,
    architecture: str,
    problem: str | None,
    labels: tuple[str, ...] | None,
) -> None:
    config = reader.read(stored(tmp_path / "a", variables(*heads, classes=classes))).config
    assert config.architectures == (architecture,)
    assert (config.problem_type, config.id2label) == (problem, labels)
    assert config.num_attention_heads == 1


def test_heads_that_look_alike_are_told_apart_by_the_caller(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", variables("classifier"))
    found = reader.read(folder, head="token_classification", labels=["O", "B", "I"]).config
    assert found.architectures == ("BertForTokenClassification",)
    assert found.id2label == ("O", "B", "I")
    for options, message in (
        ({"labels": ["a"]}, "3 classes, but 1 labels"),
        ({"head": "question_answering"}, "not among"),
        ({"head": "regression"}, "has one row"),
    ):
        with pytest.raises(UsageError, match=message):
            reader.read(folder, **options)
    with pytest.raises(UsageError, match="does not fit"):
        reader.read(stored(tmp_path / "b", variables("qa")), head="token_classification")


def test_classifier_in_a_scope_of_its_own(tmp_path: Path) -> None:
    given = variables("classifier")
    for name in ("output_weights", "output_bias"):
        given[f"output/{name}"] = given.pop(name)
    foreign = reader.read(stored(tmp_path / "a", given))
    assert torch.equal(foreign.tensors["classifier.weight"], given["output/output_weights"])
    given["output_bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match="both output/output_bias and output_bias|one weight"):
        reader.read(stored(tmp_path / "a", given))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("bert/embeddings/word_embeddings"), "lacks variables.*word_embeddings"),
        (lambda v: v.pop("bert/encoder/layer_0/output/dense/bias"), "layer_0/output/dense/bias"),
        (lambda v: v.pop("bert/pooler/dense/bias"), "bert/pooler/dense/bias"),
        (lambda v: v.pop("output_bias"), "lacks variables of BERT: output_bias"),
        (
            lambda v: v.update({"bert/encoder/layer_5/output/dense/bias": torch.zeros(64)}),
            "no BERT with 2 layers has",
        ),
        (lambda v: v.update({"bert/embeddings/more": torch.zeros(1)}), "no BERT.*embeddings/more"),
        (
            lambda v: v.update({"bert/pooler/dense/bias": torch.zeros(63)}),
            r"shape \[63\]; \[64\] is expected",
        ),
        (lambda v: v.update({"bert/pooler/dense/bias": torch.zeros(64, 1)}), "1 dimensions"),
        (lambda v: v.update({"output_bias": torch.zeros(4)}), r"\[3, 64\].*\[4, 64\]|\[4\]"),
        (lambda v: v.clear(), "no variable of Google's BERT"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[Variables], object], message: str
) -> None:
    given = variables("classifier")
    change(given)
    with pytest.raises(CheckpointError, match=message):
        reader.read(stored(tmp_path / "a", given))


def test_optimizers_leave_variables_unused(tmp_path: Path) -> None:
    given = variables()
    slots = {f"{name}/{slot}": each for name, each in variables().items()
             for slot in ("adam_m", "Adam_1", "LAMBOptimizer")}  # fmt: skip
    slots |= {"global_step": torch.tensor(3), "beta1_power": torch.tensor(0.5)}
    foreign = reader.read(stored(tmp_path / "a", given | slots))
    assert set(foreign.unused) == set(slots)
    assert len(foreign.tensors) == len(given)


def test_config_must_fit(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", variables())
    values = {name: getattr(CONFIG, name) for name in (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "max_position_embeddings", "type_vocab_size",
    )}  # fmt: skip
    path = folder / "bert_config.json"
    path.write_text(json.dumps(values | {"num_attention_heads": 4, "hidden_act": "relu"}))
    found = reader.read(folder)
    assert (found.config.num_attention_heads, found.config.hidden_act) == (4, "relu")
    assert found.assumed == ()
    assert reader.read(folder, num_heads=2).config.num_attention_heads == 2
    for name, value in (("vocab_size", 31), ("num_hidden_layers", 3), ("intermediate_size", 25)):
        path.write_text(json.dumps(values | {name: value}))
        with pytest.raises(CheckpointError, match=f"{name}"):
            reader.read(folder)


def test_heads_of_attention_without_a_config(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", variables())
    assert reader.read(folder).assumed[0] == "num_attention_heads=1: units / 64"
    assert reader.read(folder, num_heads=8).config.num_attention_heads == 8
    with pytest.raises(UsageError, match="do not divide its 64 units"):
        reader.read(folder, num_heads=7)
    for name in ("bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"):
        shutil.copy(FIXTURE / name, tmp_path)
    with pytest.raises(UsageError, match="Give .*--num_heads"):
        reader.read(tmp_path)


def test_the_newest_of_several(tmp_path: Path) -> None:
    for step in (5, 100, 20):
        stored(tmp_path, variables(), f"model.ckpt-{step}")
    found = reader.read(tmp_path)
    assert found.source.name == "model.ckpt-100"
    assert found.assumed[0] == "model.ckpt-100: the one of the highest step"
    state = tmp_path / "checkpoint"
    for path in ("model.ckpt-20", "/gone/run/model.ckpt-20", "..\\\\elsewhere\\\\model.ckpt-20"):
        state.write_text(f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "x"\n')
        found = reader.read(tmp_path)
        assert found.source == tmp_path / "model.ckpt-20"
        assert "the newest" in found.assumed[0]
    # Names nothing, or something outside the folder, or is no text at all.
    outside = stored(tmp_path.parent / f"{tmp_path.name}-other", variables(), "model.ckpt-7")
    for text in (f'model_checkpoint_path: "{outside}/model.ckpt-7"', "", "\0\xff" * 99, "x" * 9999):
        state.write_text(text)
        assert reader.read(tmp_path).source.name == "model.ckpt-100"
    stored(tmp_path / "b", variables(), "model-0.91.ckpt")
    stored(tmp_path / "b", variables(), "model-0.92.ckpt")
    with pytest.raises(CheckpointError, match=r"several checkpoints \(model-0.91.ckpt, model-0.92"):
        reader.read(tmp_path / "b")
    assert reader.read(tmp_path / "b" / "model-0.91.ckpt").source.name == "model-0.91.ckpt"


def test_paths_that_mean_the_checkpoint(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", variables())
    for name in (
        "",
        "bert_model.ckpt",
        "bert_model.ckpt.index",
        "bert_model.ckpt.meta",
        "bert_model.ckpt.data-00000-of-00001",
    ):
        path = folder / name
        assert reader.looks_like(path)
        assert reader.read(path).source == folder / "bert_model.ckpt"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.index").write_bytes(b"something else")
    for other in (tmp_path / "b", tmp_path / "b" / "x.index", tmp_path / "absent", tmp_path):
        assert not reader.looks_like(other)
        with pytest.raises(PlainBertError, match=r"expected|not the index of"):
            reader.read(other)


def test_one_file_of_before_0_12_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes((FIXTURE / "bert_model.ckpt.index").read_bytes())
    for path in (tmp_path, tmp_path / "model.ckpt"):
        assert reader.looks_like(path)
        with pytest.raises(FormatError, match=r"before 0\.12"):
            reader.read(path)


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("uncased_L-12_H-768_A-12", True),
        ("cased_L-12_H-768_A-12", False),
        ("multi_cased_L-12_H-768_A-12", False),
        ("multilingual_L-12_H-768_A-12", True),
        ("chinese_L-12_H-768_A-12", True),
        ("wwm_uncased_L-24_H-1024_A-16", True),
        ("wwm_cased_L-24_H-1024_A-16", False),
        ("uncased_L-2_H-128_A-2", True),
        ("my_model", None),
    ],
)
def test_casing_by_the_name_of_the_folder(tmp_path: Path, name: str, lower: bool | None) -> None:
    folder = stored(tmp_path / name, variables())
    assert reader.read(folder).lower is lower
    assert reader.read(folder / "bert_model.ckpt").lower is lower
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert reader.read(folder).lower is False


def model(*heads: str, classes: int = 3) -> Variables:
    """The same as :func:`variables`, by Hugging Face's names."""
    drawn = variables(*heads, classes=classes)
    return {
        name: drawn[each.google].T.contiguous() if each.transposed else drawn[each.google]
        for name, each in to_google(2).items()
        if each.google in drawn
    }


@pytest.mark.parametrize("heads", [(), ("cls.",), ("qa",), ("classifier",)])
def test_what_is_written_comes_back(tmp_path: Path, heads: tuple[str, ...]) -> None:
    given = model(*heads)
    architecture = {"classifier": "BertForTokenClassification", "qa": "BertForQuestionAnswering"}
    config = CONFIG.replace(
        architectures=(architecture.get("".join(heads), "BertModel"),),
        id2label=("O", "B-X", "I-X") if heads == ("classifier",) else None,
    )
    extra = {"cls.predictions.decoder.weight": torch.zeros(30, 64), "other": torch.zeros(1)}
    left = reader.write(tmp_path, given | extra, config, ["[PAD]", "\u2028", "a"], lower=True)
    assert left == tuple(extra)
    found = reader.read(tmp_path)
    assert found.tensors.keys() == given.keys()
    assert all(torch.equal(found.tensors[name], given[name]) for name in given)
    assert (found.unused, found.assumed, found.lower) == ((), (), True)
    assert found.vocabulary is not None
    assert found.vocabulary.read_text("utf-8") == "[PAD]\n\u2028\na\n"
    if heads != ("cls.",):
        assert found.config == config
    keys = list(json.loads((tmp_path / "bert_config.json").read_text()))
    assert keys[:11] == sorted(keys[:11])
    assert (len(keys) > 11) == (heads in (("qa",), ("classifier",)))


def test_writing_is_deterministic_and_in_float32(tmp_path: Path) -> None:
    given = {name: each.half() for name, each in model("cls.").items()}
    for name, tensors in (("a", given), ("b", dict(reversed(given.items())))):
        (tmp_path / name).mkdir()
        reader.write(tmp_path / name, tensors, CONFIG)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "bert_config.json",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    found = reader.read(tmp_path / "a").tensors
    assert {each.dtype for each in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], given[name].float()) for name in given)


def test_the_real_checkpoint_is_written_as_it_was_without_its_slots(tmp_path: Path) -> None:
    foreign = reader.read(FIXTURE)
    reader.write(tmp_path, foreign.tensors, foreign.config)
    ours, theirs = (
        Bundle.open(tmp_path / "bert_model.ckpt"),
        Bundle.open(FIXTURE / "bert_model.ckpt"),
    )
    assert set(theirs.entries) - set(ours.entries) == set(foreign.unused)
    for name, entry in ours.entries.items():
        assert entry.checksum == theirs.entries[name].checksum, name


def test_checksums_of_used_tensors_are_verified(tmp_path: Path) -> None:
    folder = stored(
        tmp_path / "a", variables() | {"bert/pooler/dense/bias/adam_m": torch.zeros(64)}
    )
    path = folder / "bert_model.ckpt.data-00000-of-00001"
    raw = path.read_bytes()
    entries = Bundle.open(folder / "bert_model.ckpt").entries
    for name, entry in entries.items():
        changed = bytearray(raw)
        changed[entry.offset + entry.size // 2] ^= 4
        path.write_bytes(changed)
        reader.read(folder, verify=False)
        if name.endswith("adam_m"):
            reader.read(folder)
        else:
            with pytest.raises(FormatError, match=f"the checksum of {name} does not match"):
                reader.read(folder)


def test_weights_that_are_whole_numbers_are_refused(tmp_path: Path) -> None:
    given = variables() | {"bert/pooler/dense/bias": torch.zeros(64, dtype=torch.int32)}
    with pytest.raises(FormatError, match="bert/pooler/dense/bias holds no floating point"):
        reader.read(stored(tmp_path / "a", given))


def test_names_of_many_layers_cost_nothing(tmp_path: Path) -> None:
    given = variables() | {"bert/encoder/layer_999999/output/dense/bias": torch.zeros(64)}
    with pytest.raises(CheckpointError, match="layer_999999"):
        reader.read(stored(tmp_path / "a", given))
    given.pop("bert/encoder/layer_999999/output/dense/bias")
    folder = stored(tmp_path / "a", given)
    values = {"vocab_size": 30, "hidden_size": 64, "num_hidden_layers": 10**9,
              "intermediate_size": 24, "max_position_embeddings": 10}  # fmt: skip
    (folder / "bert_config.json").write_text(json.dumps(values | {"num_attention_heads": 1}))
    with pytest.raises(CheckpointError, match="num_hidden_layers=1000000000"):
        reader.read(folder)
