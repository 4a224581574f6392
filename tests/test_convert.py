"""From any format to any other, and every script on an unconverted model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import plainbert
from plainbert import checkpoint, model_zoo
from plainbert.errors import CheckpointError, FormatError, UnknownNameError, UsageError
from plainbert.model_zoo.convert import convert, open_any
from plainbert.text.vocab import Vocab
from tests.helpers import scripts
from tests.helpers.folders import CONFIG, FIXTURES, LABELS, TOKENS, batch, tiny, tokenizer
from tests.helpers.rounding import rounding, terms_of

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts" / "bert"
GLUONNLP = FIXTURES / "gluonnlp"
OLD = {"weight": "gamma", "bias": "beta"}  # of LayerNorm, in pytorch-pretrained-BERT
TARGETS = ("huggingface", "pytorch", "gluonnlp", "tensorflow")
HEADS = (
    "embedding",
    "classification",
    "regression",
    "question_answering",
    "token_classification",
    "pretraining",
    "masked_lm",
)


def script(name, *arguments):
    return scripts.load(SCRIPTS / f"{name}.py").main(list(map(str, arguments)))


def outputs(model):
    """Every output of a model on one batch, end to end."""
    ids, types, mask = batch()
    from plainbert.nn.layout import Padded

    model = model.double()
    with torch.no_grad():
        found = model(ids, types, layout=Padded(mask))
    parts = found if isinstance(found, tuple) else (found,)
    keep = [part for part in parts if isinstance(part, torch.Tensor)]
    return torch.cat([part.flatten() for part in keep])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", TARGETS)
def test_there_and_back(tmp_path, target, head):
    model = tiny(head)
    source = checkpoint.write(tmp_path / "cased_source", model, tokenizer())
    there = convert(open_any(source), tmp_path / "uncased_there", target)
    assert there.unused == ()
    assert there.dropped == ()
    opened = open_any(
        there.folder, labels=LABELS if head in ("classification", "token_classification") else None
    )
    assert opened.head == head
    assert opened.tokenizer.vocab.tokens == tokenizer().vocab.tokens
    assert opened.tokenizer.lower
    assert torch.equal(outputs(model), outputs(opened.model))
    back = convert(opened, tmp_path / "back", "huggingface")
    again = model_zoo.open_folder(back.folder)
    assert torch.equal(outputs(model), outputs(again.model))
    assert again.model.config.num_attention_heads == CONFIG.num_attention_heads


@pytest.mark.parametrize("target", TARGETS)
def test_a_conversion_is_deterministic(tmp_path, target):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    folders = [convert(open_any(source), tmp_path / n / "uncased", target).folder for n in "ab"]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        if not (folders[0] / name).is_dir():
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_rows_follow_their_tokens_into_another_order(tmp_path):
    model = tiny("pretraining")
    source = checkpoint.write(tmp_path / "source", model, tokenizer())
    order = [*TOKENS[6:], *TOKENS[:6]]
    done = convert(open_any(source), tmp_path / "new", "huggingface", Vocab.from_tokens(order))
    new = model_zoo.open_folder(done.folder)
    assert new.tokenizer.vocab.tokens == tuple(order)
    assert new.tokenizer.ids("the cat") != tokenizer().ids("the cat")
    for one, other in zip(
        model_vectors(model, tokenizer()),
        model_vectors(new.model, new.tokenizer),
        strict=True,
    ):
        assert torch.equal(one, other)


def model_vectors(model, tokens):
    """The word vector and the output bias of each token, by its text."""
    rows = [tokens.vocab.id(token) for token in TOKENS]
    state = model.state_dict()
    yield state["bert.embeddings.word_embeddings.weight"][rows]
    yield state["cls.predictions.bias"][rows]


def test_gluonnlp_order(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny("pretraining"), tokenizer())
    done = convert(open_any(source), tmp_path / "uncased", "gluonnlp", "gluonnlp")
    found = open_any(done.folder)
    assert found.tokenizer.vocab.tokens[:5] == ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
    assert found.model.config.pad_token_id in (0, 1)
    back = convert(found, tmp_path / "back", "huggingface", tokenizer().vocab)
    assert model_zoo.open_folder(back.folder).tokenizer.vocab.tokens == tuple(TOKENS)


def test_a_vocabulary_file_gives_the_order(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny("pretraining"), tokenizer())
    script(
        "convert_checkpoint",
        "--from",
        source,
        "--to",
        tmp_path / "uncased",
        "--format",
        "gluonnlp",
        "--vocab_order",
        "gluonnlp",
    )
    script(
        "convert_checkpoint",
        "--from",
        tmp_path / "uncased",
        "--to",
        tmp_path / "back",
        "--vocab_order",
        source / "vocab.txt",
    )
    back = model_zoo.open_folder(tmp_path / "back")
    assert back.tokenizer.vocab.tokens == tuple(TOKENS)
    assert torch.equal(outputs(model_zoo.open_folder(source).model), outputs(back.model))


def test_the_prefix_of_a_tensorflow_checkpoint_is_a_path(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    there = convert(open_any(source), tmp_path / "uncased", "tensorflow").folder
    assert open_any(there / "bert_model.ckpt").head == "classification"
    with pytest.raises(CheckpointError, match="does not exist"):
        open_any(there / "bert_modl.ckpt")


@pytest.mark.parametrize("head", ["pretraining", "masked_lm"])
def test_googles_files_become_what_the_old_script_made_of_them(tmp_path, head):
    source = checkpoint.write(tmp_path / "source", tiny(head), tokenizer())
    google = convert(open_any(source), tmp_path / "google", "tensorflow").folder

    def stored(*flags):
        out = tmp_path / f"out{len(flags)}"
        result = script(
            "convert_checkpoint", "--from", google, "--to", out, "--format", "pytorch", *flags
        )
        return torch.load(out / "pytorch_model.bin", weights_only=True), result["dropped"]

    bare, dropped = stored()
    # convert_tf_checkpoint_to_pytorch.py: BertModel(config).state_dict(), gamma and beta in it.
    body = open_any(source).model.bert.state_dict()
    assert set(bare) == {
        re.sub(r"LayerNorm.(weight|bias)", lambda m: f"LayerNorm.{OLD[m[1]]}", name)
        for name in body
    }
    assert torch.equal(
        bare["encoder.layer.0.output.LayerNorm.gamma"],
        body["encoder.layer.0.output.LayerNorm.weight"],
    )
    assert dropped
    assert all(name.startswith("cls.") for name in dropped)
    opened = model_zoo.open_folder(tmp_path / "out0")  # as every command does
    assert opened.head == "embedding"
    assert all(torch.equal(opened.model.state_dict()[name], body[name]) for name in body)
    whole, dropped = stored("--whole")
    assert model_zoo.open_folder(tmp_path / "out1").head == head
    assert {name for name in whole if name.startswith("bert.")} == {f"bert.{name}" for name in bare}
    assert any(name.startswith("cls.predictions.") for name in whole)
    assert dropped == ()


def test_a_fine_tuned_model_keeps_its_head_in_the_old_form(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    google = convert(open_any(source), tmp_path / "google", "tensorflow").folder
    script("convert_checkpoint", "--from", google, "--to", tmp_path / "o", "--format", "pytorch")
    assert model_zoo.open_folder(tmp_path / "o").head == "classification"


@pytest.mark.parametrize(
    ("name", "format"),
    [("x.params", "gluonnlp"), ("x.bin", "pytorch"), ("d/bert_model.ckpt", "tensorflow"),
     ("model.safetensors", "huggingface")],
)  # fmt: skip
def test_the_name_of_a_file_is_no_folder_to_write(tmp_path, capsys, name, format):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    with pytest.raises(SystemExit):
        script("convert_checkpoint", "--from", source, "--to", tmp_path / name)
    folder = (tmp_path / name).with_suffix("")
    assert f"--to {folder} --format {format}." in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_vocabulary_with_other_tokens_is_no_order(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    with pytest.raises(CheckpointError, match="only one of them has 'cat', 'dog'"):
        convert(
            open_any(source),
            tmp_path / "new",
            "huggingface",
            Vocab.from_tokens([*TOKENS[:-1], "dog"]),
        )
    assert not (tmp_path / "new").exists()


def test_nothing_half_written(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    with pytest.raises(UnknownNameError, match="gluonnlp"):
        convert(open_any(source), tmp_path / "new", "gluonlp")
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists"):
        convert(open_any(source), tmp_path / "there", "gluonnlp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "there"]


# --- what real GluonNLP wrote --------------------------------------------------------------------


def test_gluonnlps_own_outputs_from_a_converted_file(tmp_path):
    expected = np.load(GLUONNLP / "expected.npz")
    result = script(
        "convert_checkpoint",
        "--from",
        GLUONNLP / "bert_tiny.params",
        "--to",
        tmp_path / "hf",
        "--num_heads",
        4,
        "--do_lower_case",
        "true",
    )
    assert result["unused"] == ()
    model = model_zoo.open_folder(tmp_path / "hf", "embedding").model
    ids, types, lengths = (torch.from_numpy(expected[f"data{n}"]).long() for n in range(3))
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    with torch.no_grad():
        hidden = model(ids, types, attention_mask=mask).hidden
    difference = (hidden.numpy() - expected["bert_seq"]) * mask[..., None].numpy()
    assert np.abs(difference).max() < rounding(terms_of(model.config), expected["bert_seq"])


@pytest.mark.parametrize(("task", "labels"), [("classification", "a,b,c"), ("regression", None)])
def test_predict_from_a_params_file(tmp_path, task, labels):
    shutil.copy(GLUONNLP / "vocab.json", tmp_path)
    file = tmp_path / f"bert_2_32_4_{task}_uncased.params"  # sizes and casing, as GluonNLP's names
    shutil.copy(GLUONNLP / f"{task}.params", file)
    extra = ["--labels", labels] if labels else []
    found = script(
        "predict_classifier", "--model_dir", file, "--sentences", "some", "a ||| b", *extra
    )
    assert len(found["predictions"]) == 2
    if labels:
        assert found["predictions"][0].label in labels
        with pytest.raises(UsageError, match="3 classes, but 2 labels"):
            script(
                "predict_classifier", "--model_dir", file, "--sentences", "some", "--labels", "a,b"
            )


# --- every script takes every format ------------------------------------------------------------


@pytest.fixture(scope="module", params=["gluonnlp", "tensorflow", "pytorch"])
def unconverted(request, tmp_path_factory):
    """A tiny classifier in a foreign format, and the same in ours."""
    place = tmp_path_factory.mktemp(request.param)
    own = checkpoint.write(place / "own", tiny(), tokenizer())
    return convert(open_any(own), place / "uncased_model", request.param).folder, own


def test_load_and_embed(unconverted, tmp_path):
    foreign, own = unconverted
    texts = ["the cat", "a b c the"]
    one, two = (
        plainbert.load(path).encode(texts, pooling_strategy="mean") for path in (foreign, own)
    )
    assert np.abs(one - two).max() < 1e-6
    script(
        "embedding",
        "--model_dir",
        foreign,
        "--sentences",
        *texts,
        "--pooling_strategy",
        "mean",
        "--output",
        tmp_path / "v.npz",
    )
    assert np.abs(np.load(tmp_path / "v.npz")["vector"] - two).max() < 1e-6


def test_fine_tune_and_predict(unconverted, tmp_path):
    foreign, own = unconverted
    (tmp_path / "rows.tsv").write_text(
        "text\tlabel\n" + "the cat\tred\na b c\tgreen\nb b\tblue\n" * 4
    )
    script(
        "finetune_classifier",
        "--model_dir",
        foreign,
        "--train_file",
        tmp_path / "rows.tsv",
        "--dev_file",
        tmp_path / "rows.tsv",
        "--text_columns",
        "text",
        "--label_column",
        "label",
        "--epochs",
        1,
        "--batch_size",
        4,
        "--max_len",
        16,
        "--dtype",
        "float32",
        "--output_dir",
        tmp_path / "run",
    )
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()
    names = ["--labels", ",".join(LABELS)]
    one = script("predict_classifier", "--model_dir", foreign, "--sentences", "the cat", *names)
    two = script("predict_classifier", "--model_dir", own, "--sentences", "the cat")
    assert one["predictions"][0].label == two["predictions"][0].label


# --- labels in another order ---------------------------------------------------------------------


def test_labels_are_matched_by_name(tmp_path):
    model = tiny()
    folder = checkpoint.write(tmp_path / "model", model, tokenizer())
    other = ("Blue", "red", "green")
    opened = model_zoo.open_folder(folder, labels=other)
    assert opened.report.fresh == ()
    assert opened.model.config.id2label == other
    ids, types, mask = batch()
    with torch.no_grad():
        one = torch.softmax(outputs(opened.model).view(4, 3), 1)
        two = torch.softmax(outputs(model).view(4, 3), 1)
    assert torch.allclose(one, two[:, [2, 0, 1]], atol=1e-12)


# --- bad input -----------------------------------------------------------------------------------


def test_a_bad_vocabulary_or_none(tmp_path):
    shutil.copy(GLUONNLP / "bert_tiny.params", tmp_path)
    with pytest.raises(CheckpointError, match=r"no vocabulary.*--bert_dataset"):
        open_any(tmp_path / "bert_tiny.params", num_heads=4)
    (tmp_path / "bert_tiny.params").write_bytes(b"nonsense" * 9)
    with pytest.raises(FormatError):
        open_any(tmp_path / "bert_tiny.params", format="gluonnlp")


def test_the_bias_repair_is_for_gluonnlp_only(tmp_path):
    source = checkpoint.write(tmp_path / "source", tiny(), tokenizer())
    with pytest.raises(CheckpointError, match="not of GluonNLP"):
        open_any(source, repair_bias=True)
