"""Folders of sentence-transformers, old and new, against that library itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

import plainbert
from plainbert import checkpoint, model_zoo
from plainbert.errors import CheckpointError, UsageError
from plainbert.export.source import source_of
from plainbert.files import read_json, write_json
from plainbert.keys.config_json import activation_of
from plainbert.model_zoo import convert
from plainbert.recipes import finetune_classifier
from plainbert.recipes.shared.models import open_model
from tests.helpers.folders import CONFIG, TOKENS, tiny, tokenizer
from tests.helpers.rounding import rounding, terms_of

TEXTS = ["the cat", "a b c", "ab cba the", "THE Caf\u00e9 cat a"]
WORDS = [*TOKENS, "\u00e9", "Cat", "caf\u00e9", "cafe"]
SETTINGS = {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "model_max_length": 12}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder of transformers' with a cased tokenizer."""
    from plainbert.text.vocab import Vocab
    from plainbert.text.wordpiece import WordPiece

    model = tiny("embedding", vocab_size=len(WORDS))
    folder = checkpoint.write(tmp_path / "plain", model, WordPiece(Vocab(WORDS), lower=False))
    write_json(folder / "tokenizer_config.json", SETTINGS)
    (folder / "tokenizer.json").unlink()
    return folder


def made(folder: Path, plain: Path, *more: Any, mode: Any = "mean", **options: Any) -> Path:
    """A folder as sentence-transformers saves it."""
    steps = [Transformer(str(plain)), Pooling(CONFIG.hidden_size, mode), *more]
    SentenceTransformer(modules=steps, device="cpu", **options).save(str(folder))
    return folder


def theirs_of(folder: Path, texts: Any = TEXTS, **options: Any) -> Any:
    return SentenceTransformer(str(folder), device="cpu").encode(list(texts), **options)


def check(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rounding(terms_of(CONFIG), theirs))


@pytest.mark.parametrize("default", [None, "query", "document"])
def test_prompts(tmp_path: Path, plain: Path, default: str | None) -> None:
    prompts = {"query": "the c", "document": "ab "}
    folder = made(tmp_path / "s", plain, prompts=prompts, default_prompt_name=default)
    model = plainbert.load(folder)
    check(model.encode(TEXTS), theirs_of(folder))
    check(model.encode(TEXTS, prompt_name="document"), theirs_of(folder, prompt_name="document"))
    check(model.encode(TEXTS, prompt="cba "), theirs_of(folder, prompt="cba "))
    check(model.encode(TEXTS, prompt=""), theirs_of(folder, prompt=""))
    tokens = theirs_of(folder, output_value="token_embeddings")
    for one, other in zip(model.encode_tokens(TEXTS), tokens, strict=True):
        check(one, other.numpy())
    with pytest.raises(UsageError, match=r"has no prompt 'quary'; it has \w+, \w+\."):
        model.encode(TEXTS, prompt_name="quary")
    with pytest.raises(UsageError, match="exclude each other"):
        model.encode(TEXTS, prompt_name="query", prompt="x")


def test_default_prompt_is_said(
    tmp_path: Path, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = made(tmp_path / "s", plain, prompts={"query": "the "}, default_prompt_name="query")
    caplog.set_level("INFO", "plainbert")
    plainbert.load(folder).encode(TEXTS)
    assert "every text begins with the folder's default prompt, 'the '" in caplog.text


def test_everything_is_kept_by_a_conversion(tmp_path: Path, plain: Path) -> None:
    prompts = {"query": "the c", "document": ""}
    folder = made(
        tmp_path / "s", plain, Normalize(), prompts=prompts, default_prompt_name="query",
        truncate_dim=5, similarity_fn_name="dot",
    )  # fmt: skip
    opened = convert.open_any(folder)
    convert.convert(opened, tmp_path / "ours", "huggingface")
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert (again.prompts, again.default_prompt_name) == (prompts, "query")
    assert (again.truncate_dim, again.similarity_fn_name) == (5, "dot")
    check(again.encode(TEXTS), theirs_of(folder))
    check(plainbert.load(tmp_path / "ours").encode(TEXTS), theirs_of(folder))


@pytest.mark.parametrize("normalize", [True, False])
def test_truncated_vectors(tmp_path: Path, plain: Path, normalize: bool) -> None:
    more = [Normalize()] if normalize else []
    folder = made(tmp_path / "s", plain, *more, truncate_dim=5)
    ours = plainbert.load(folder).encode(TEXTS)
    assert ours.shape == (len(TEXTS), 5)
    check(ours, theirs_of(folder))


def test_truncated_whatever_the_pooling(tmp_path: Path, plain: Path) -> None:
    folder = made(tmp_path / "s", plain, Normalize(), truncate_dim=5)
    model = plainbert.load(folder)
    for name in ("mean", "REDUCE_MEAN"):  # the folder's own, named
        assert np.array_equal(model.encode(TEXTS, pooling_strategy=name), model.encode(TEXTS))
    assert model.encode(TEXTS, pooling_strategy="cls").shape == (len(TEXTS), 5)
    assert model.encode(TEXTS, pooling_layer=-2).shape == (len(TEXTS), 5)
    # The first numbers of joined vectors would be those of one part alone.
    width = CONFIG.hidden_size
    joined = model.encode(TEXTS, pooling_layer=(-2, -1))
    assert joined.shape == (len(TEXTS), 2 * width)
    both = model.encode(TEXTS, pooling_strategy="REDUCE_MEAN_MAX")
    assert both.shape == (len(TEXTS), 2 * width)


@pytest.mark.parametrize("strip", [None, True, False])
def test_lower_casing_of_their_own(tmp_path: Path, plain: Path, strip: bool | None) -> None:
    write_json(plain / "tokenizer_config.json", {**SETTINGS, "strip_accents": strip})
    folder = made(tmp_path / "s", plain)
    cased = theirs_of(folder)
    path = folder / "sentence_bert_config.json"
    write_json(path, {"max_seq_length": 12, "do_lower_case": True})
    theirs = theirs_of(folder)
    assert np.abs(theirs[3] - cased[3]).max() > 0.01
    check(plainbert.load(folder).encode(TEXTS), theirs)


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (lambda: Dense(CONFIG.hidden_size, 4), "mean\\+Dense"),
        (lambda: Normalize("token_embeddings"), "mean\\+Normalize"),
    ],
)
def test_steps_that_we_lack_are_refused(tmp_path: Path, plain: Path, step: Any, named: str) -> None:
    folder = made(tmp_path / "s", plain, step())
    with pytest.raises(UsageError, match=f"pools by '{named}'"):
        plainbert.load(folder).encode(TEXTS)


@pytest.mark.parametrize("mode", ["mean", "max", "cls"])
def test_pooling_without_the_prompt(
    tmp_path: Path, plain: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = {"query": "the c ", "none": ""}
    folder = made(
        tmp_path / "s", plain, Normalize(), mode=mode, prompts=prompts, default_prompt_name="query"
    )
    path = folder / "1_Pooling" / "config.json"
    included = theirs_of(folder)
    write_json(path, {**read_json(path), "include_prompt": False})
    theirs = theirs_of(folder)
    assert np.abs(theirs - included).max() > 0.01
    convert.convert(convert.open_any(folder), tmp_path / "ours", "huggingface")
    check(theirs_of(tmp_path / "ours"), theirs)
    source_of(model_zoo.open_folder(folder), "s")
    assert "s leaves a prompt's tokens out of its vectors; the export counts them" in caplog.text
    for model in (plainbert.load(folder), plainbert.load(tmp_path / "ours")):
        check(model.encode(TEXTS), theirs)
        check(model.encode(TEXTS, prompt_name="none"), theirs_of(folder, prompt_name="none"))
        check(model.encode(TEXTS, prompt="cba "), theirs_of(folder, prompt="cba "))


def test_default_prompt_that_is_not_there(tmp_path: Path, plain: Path) -> None:
    folder = made(tmp_path / "s", plain)
    path = folder / "config_sentence_transformers.json"
    write_json(path, {**read_json(path), "default_prompt_name": "quary"})
    with pytest.raises(CheckpointError, match="default_prompt_name='quary' is none of"):
        checkpoint.read(folder)


OLD_POOLING = {
    "word_embedding_dimension": CONFIG.hidden_size,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": False,
    "pooling_mode_max_tokens": True,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


@pytest.mark.parametrize("kind", ["BERT", "Transformer"])
@pytest.mark.parametrize("config", [True, False])
def test_old_layouts(tmp_path: Path, plain: Path, kind: str, config: bool) -> None:
    folder = tmp_path / "old"
    inner = folder / f"0_{kind}"
    shutil.copytree(plain, inner)
    write_json(inner / "sentence_bert_config.json", {"max_seq_length": 4, "do_lower_case": True})
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", OLD_POOLING)
    modules = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{name}"}
        for row, (path, name) in enumerate([(inner.name, kind), ("1_Pooling", "Pooling")])
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if config:
        write_json(folder / "config.json", {"__version__": "0.2.3"})
    model = plainbert.load(folder)
    assert (model.checkpoint.pooling, model.max_len) == ("max", 4)
    # The class of version 0.2 is gone from theirs; its files are those of Transformer.
    text = (folder / "modules.json").read_text().replace("models.BERT", "models.Transformer")
    (folder / "modules.json").write_text(text)
    check(model.encode(TEXTS), theirs_of(folder))


PAIRS = [("the cat", "a b"), ("ab", "cba the"), ("a", "cat")]


@pytest.mark.parametrize("function", ["Sigmoid", "Identity", "Tanh", "default"])
@pytest.mark.parametrize("place", ["sentence_transformers", "old", "newest"])
def test_scores_of_cross_encoders(tmp_path: Path, plain: Path, function: str, place: str) -> None:
    from plainbert.text.reader import read_tokenizer

    model = tiny("regression", vocab_size=len(WORDS))
    folder = checkpoint.write(tmp_path / "ce", model, read_tokenizer(plain))
    name = f"torch.nn.modules.{'linear' if function == 'Identity' else 'activation'}.{function}"
    stated = {"sentence_transformers": {"activation_fn": name, "version": "4.0.1"}}
    if place == "old":
        stated = {"sbert_ce_default_activation_function": name}
    if function == "default":
        stated = dict.fromkeys(stated, None if place == "old" else {"version": "4.0.1"})
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **stated})
    theirs = CrossEncoder(str(folder), device="cpu")
    if place == "newest":
        theirs.save(str(tmp_path / "newest"))
        folder = tmp_path / "newest"
    ours = [prediction.label for prediction in plainbert.load(folder).predict(PAIRS)]
    check(ours, theirs.predict(PAIRS))

    # Written anew it still says so; a model that is trained further does not.
    convert.convert(convert.open_any(folder), tmp_path / "again", "huggingface")
    again = [item.label for item in plainbert.load(tmp_path / "again").predict(PAIRS)]
    check(again, theirs.predict(PAIRS))


def test_unknown_activation_is_refused(tmp_path: Path) -> None:
    folder = checkpoint.write(tmp_path / "ce", tiny("regression"), tokenizer())
    config = read_json(folder / "config.json")
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.activation.Softplus"}
    write_json(folder / "config.json", config)
    model = plainbert.load(folder)
    with pytest.raises(CheckpointError, match="Softplus"):
        model.predict("a")


def test_length_limit_of_the_tokenizer(plain: Path) -> None:
    """Without steps of its own, sentence-transformers cuts where the tokenizer's file says."""
    assert plainbert.load(plain).max_len == SentenceTransformer(str(plain)).max_seq_length == 12
    long = ["a b c the cat a b c the cat a b c the cat"]
    check(plainbert.load(plain).encode(long), theirs_of(plain, long))


def test_what_an_export_leaves_out_is_said(
    tmp_path: Path, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = made(
        tmp_path / "s", plain, prompts={"query": "the "}, default_prompt_name="query",
        truncate_dim=5,
    )  # fmt: skip
    source_of(model_zoo.open_folder(folder), "s")
    assert "s puts 'the ' before every text; predict.py of the export does, other" in caplog.text
    assert "s keeps the first 5 numbers of a vector; predict.py of the export does" in caplog.text


def test_what_is_trained_further_has_no_function_on_top(tmp_path: Path) -> None:
    folder = checkpoint.write(tmp_path / "ce", tiny("regression"), tokenizer())
    config = read_json(folder / "config.json")
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    write_json(folder / "config.json", config)
    settings = finetune_classifier.parse_args(
        ["--task_name", "STS-B", "--model_dir", str(folder), "--output_dir", str(tmp_path / "run")]
    )
    further = open_model(settings, "regression").model.config
    assert activation_of(further.extra) is None
    as_it_is = open_model(settings, "regression", trained=True).model.config
    assert str(activation_of(as_it_is.extra)).endswith("Sigmoid")
