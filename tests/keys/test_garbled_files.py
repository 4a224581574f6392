"""Every JSON file and answer that is read, garbled many times: an error of ours, or a result.

Never a traceback of another kind, never a hang.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from plainbert import checkpoint, folders
from plainbert.config import BertConfig
from plainbert.errors import PlainBertError
from plainbert.export.manifest import Manifest
from plainbert.hub import answer
from plainbert.hub.download import shards
from plainbert.hub.record import Record
from plainbert.model_zoo.folder import open_folder
from plainbert.recipes.shared import output_dir
from plainbert.tasks.classification.activation import activated
from plainbert.tasks.embedding.encode import pooling_of, prompted
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad import files as squad_files
from plainbert.tasks.squad.predict import limits_of, search_of
from plainbert.text.reader import read_tokenizer
from plainbert.text.vocab import Vocab
from plainbert.train.monitor import Monitor
from tests.helpers.folders import TOKENS, tiny, tokenizer
from tests.helpers.garbled import garbled
from tests.helpers.hub_server import COMMIT, Hub, serve
from tests.keys.test_tokenizer_settings import described, make, token

VOLUME = pytest.mark.volume(sample=100, whole=400)  # garbled files of each kind
SECONDS = 5  # for one of them


class Hang(BaseException):
    """A file took too long."""


@contextmanager
def watched() -> Iterator[None]:
    """Raise where something takes too long."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(path: Path, value: Any, read: Callable[[], object], seed: int, number: int) -> None:
    """Garble one file again and again, and read it."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    with watched():
        for turn in range(number):
            content = garbled(value, rng)
            path.write_bytes(content)
            signal.alarm(SECONDS)
            try:
                read()
                counts["read"] += 1
            except PlainBertError as error:
                message = str(error)
                counts[type(error).__name__] += 1
                if len(message) > 10_000:
                    pytest.fail(f"turn {turn}: a message of {len(message)} characters")
            except BaseException as error:
                signal.alarm(0)
                pytest.fail(f"turn {turn}: {error!r} for {content[:1500]!r}")
    refused = counts.total() - counts["read"]
    assert min(refused, counts["read"]) > number / 50, counts


TOKENIZER_FILES: dict[str, Any] = {
    "tokenizer": {
        **described(True),
        "added_tokens": [{"id": 19, **token("[E1]")}, {"id": 20, **token("[/E1]")}],
    },
    "tokenizer_config": {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None,
        "tokenize_chinese_chars": True, "model_max_length": 512, "unk_token": "[UNK]",
        "mask_token": token("[MASK]"), "additional_special_tokens": ["[E1]", token("[/E1]")],
        "added_tokens_decoder": {"0": token("[PAD]"), "19": token("[E1]")}, "never_split": None,
    },
    "special_tokens_map": {
        "unk_token": "[UNK]", "cls_token": token("[CLS]"), "additional_special_tokens": ["[E1]"],
        "extra_special_tokens": {"one": "[E1]"},
    },
    "added_tokens": {"[E2]": 22, "[E3]": 23, "[MASK]": 4},
    "config": {"model_type": "bert", "vocab_size": 40, "tokenizer_class": "BertTokenizer"},
}  # fmt: skip


@VOLUME
@pytest.mark.parametrize("name", TOKENIZER_FILES)
def test_tokenizer_files(tmp_path: Path, seed: int, trials: int, name: str) -> None:
    folder = make(tmp_path / "model", **{name: TOKENIZER_FILES[name]})
    saved = tmp_path / "saved"
    saved.mkdir()

    def read() -> None:
        ours = read_tokenizer(folder, lower=True)
        ours.pieces("The cat [E1] caf\u00e9 \u4e2d\u6587 [E2]a[MASK]")
        ours.ids("a [E1]")
        ours.save(saved)

    fuzz(folder / f"{name}.json", TOKENIZER_FILES[name], read, seed, trials)


@VOLUME
def test_gluonnlp_vocabularies(tmp_path: Path, seed: int, trials: int) -> None:
    rows = {word: row for row, word in enumerate(TOKENS)}
    value = {"idx_to_token": TOKENS, "token_to_idx": rows, "unknown_token": "[UNK]",
             "identifiers_to_tokens": {"cls_token": "[CLS]", "sep_token": "[SEP]"}}  # fmt: skip
    path = tmp_path / "vocab.json"
    fuzz(path, value, lambda: Vocab.read(path).ids(["a", "b"]), seed, trials)


MODEL_FILES: dict[str, Any] = {
    "config.json": None,  # the folder's own
    "plainbert.json": {
        "task": "squad", "max_length": 20, "doc_stride": 5, "max_query_length": 8,
        "version_2": True, "null_score_diff_threshold": -1.5, "pooling": "mean",
        "normalize": False, "prompts": {"query": "a "}, "default_prompt_name": "query",
        "truncate_dim": 5, "tag_scheme": "iob2", "num_choices": 2,
    },
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "x.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "x.Normalize"},
    ],
    "1_Pooling/config.json": {"pooling_mode": ["mean", "max"], "include_prompt": True,
                              "pooling_mode_cls_token": False, "word_embedding_dimension": 16},
    "2_Normalize/config.json": {"module_input_name": "sentence_embedding"},
    "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": False,
                                  "modality_config": {"text": {"method": "forward"}}},
    "config_sentence_transformers.json": {
        "prompts": {"query": "a ", "document": ""}, "default_prompt_name": "query",
        "truncate_dim": 5, "similarity_fn_name": "dot", "model_type": "SentenceTransformer",
        "activation_fn": "torch.nn.modules.activation.Sigmoid",
    },
}  # fmt: skip


@pytest.mark.volume(sample=40, whole=200)
@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("head", ["regression", "token_classification"])
def test_model_files(tmp_path: Path, seed: int, trials: int, name: str, head: str) -> None:
    import numpy as np

    folder = checkpoint.write(tmp_path / "model", tiny(head), tokenizer(), about={"max_length": 9})
    for other, value in MODEL_FILES.items():
        (folder / other).parent.mkdir(exist_ok=True)
        if value is not None:
            (folder / other).write_text(json.dumps(value))
    value = json.loads((folder / name).read_text())
    if name == "config.json":
        value |= {"sentence_transformers": {"activation_fn": "torch.nn.Tanh"}, "num_labels": 3,
                  "classifier_dropout": 0.1, "label2id": {"a": 1}}  # fmt: skip

    def read() -> None:
        stored = checkpoint.read(folder)
        pooling_of(stored)
        prompted(["a", ("b", "c")], stored)
        limits_of(stored.about, 20)
        search_of(stored.about)
        TagSet.trained(stored.config.id2label or (), stored.about.get("tag_scheme"))
        activated(np.zeros((2, 1), np.float32), stored.config)
        stored.config.save(folder.parent / "again.json")
        BertConfig.from_dict(stored.config.to_dict())
        opened = open_folder(folder)
        opened.tokenizer.ids("a [E1]")

    fuzz(folder / name, value, read, seed, trials)


@VOLUME
def test_manifests(tmp_path: Path, seed: int, trials: int) -> None:
    value = {
        "inputs": ["input_ids"], "format": "onnx", "task": "classification", "source": "x",
        "max_length": 20, "lower": True, "labels": ["a", "b"], "output": "logits",
        "pooling": {"kind": "mean"}, "quantized": False, "about": {"max_length": 20},
        "check": {"max": 1e-6}, "plainbert": "1.0",
    }  # fmt: skip

    def read() -> None:
        manifest = Manifest.read(tmp_path)
        limits_of(manifest.about, manifest.max_length)
        TagSet.trained(manifest.labels, manifest.about.get("tag_scheme"))

    fuzz(tmp_path / "manifest.json", value, read, seed, trials)


@VOLUME
def test_notes_of_runs(tmp_path: Path, seed: int, trials: int) -> None:
    value = {"command": ["finetune_ner.py", "--lr", "1"], "script": "finetune_ner",
             "flags": {"lr": 1.0}, "versions": {"plainbert": "1.0"}}  # fmt: skip

    def read() -> None:
        if output_dir._args_of(tmp_path) is None:
            raise PlainBertError("no run of ours")

    fuzz(tmp_path / "args.json", value, read, seed, trials)


@VOLUME
def test_records_of_runs(tmp_path: Path, seed: int, trials: int) -> None:
    path = tmp_path / "metrics.jsonl"

    def read() -> None:
        path.write_bytes(path.read_bytes() + b'\n{"step": 1}\n')
        Monitor._keep_until(path, 5)
        if not path.read_text().startswith('{"step": 3'):
            raise PlainBertError("the garbled line was dropped")

    fuzz(path, {"step": 3, "loss": 1.0}, read, seed, trials)


@VOLUME
def test_journals(tmp_path: Path, seed: int, trials: int) -> None:
    place = tmp_path / folders.COMMITTED
    value = {"removed": ["a"], "files": ["b"]}

    def read() -> None:
        folders.finish(tmp_path)
        place.mkdir(exist_ok=True)

    place.mkdir()
    fuzz(place / folders._JOURNAL, value, read, seed, trials)


@VOLUME
def test_questions(tmp_path: Path, seed: int, trials: int) -> None:
    answers = [{"text": "cat", "answer_start": 4}]
    asked = {"id": "1", "question": "who", "answers": answers, "is_impossible": False}
    paragraphs = [{"context": "the cat sat", "qas": [asked, {**asked, "id": "2"}]}]
    value = {"version": "2", "data": [{"title": "x", "paragraphs": paragraphs}]}
    path = tmp_path / "dev.json"
    fuzz(path, value, lambda: squad_files.read(path), seed, trials)


@VOLUME
def test_indexes_of_shards(tmp_path: Path, seed: int, trials: int) -> None:
    value = {"metadata": {"total_size": 3}, "weight_map": {"a": "x.bin", "b": "y.bin"}}
    path = tmp_path / "pytorch_model.bin.index.json"
    fuzz(path, value, lambda: shards(path), seed, trials)


@pytest.mark.volume(sample=30, whole=80)
def test_answers_of_the_hub(
    tmp_path: Path, seed: int, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    siblings = [
        {"rfilename": "config.json", "size": 3, "blobId": "0" * 40},
        {"rfilename": "model.safetensors", "size": 3, "blobId": "1" * 40,
         "lfs": {"sha256": "a" * 64, "size": 3, "pointerSize": 134}},
    ]  # fmt: skip
    value = {"id": "some/model", "sha": COMMIT, "tags": [], "siblings": siblings,
             "lastModified": "2024-01-01T00:00:00.000Z", "cardData": {}}  # fmt: skip
    record = Record("bert_1_2_1", "test", "some/model", True, 2, "MIT", "")
    path = tmp_path / "answer.json"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(Hub(some__model=tmp_path)) as hub:
        hub.answer = path
        fuzz(path, value, lambda: answer.ask(huggingface_hub, hub.endpoint, record), seed, trials)


def test_left_as_they_were(tmp_path: Path) -> None:
    """The files above are whole ones: each is read as it is."""
    for name, value in TOKENIZER_FILES.items():
        ours = read_tokenizer(make(tmp_path / name, **{name: value}), lower=True)
        assert ours.ids("the [MASK]") == [10, 4]
