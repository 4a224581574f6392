"""Every key that the installed transformers and sentence-transformers write is in our tables."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from plainbert.keys import config_json, own_file, schema, sentence_files, tokenizer_files
from plainbert.keys.schema import FOLLOWED, IDLE, NOTED, REFUSED
from tests.keys.test_tokenizer_settings import TOKENS, described, make, token

TABLES = {
    "config.json": config_json.CONFIG,
    "tokenizer_config.json": tokenizer_files.TOKENIZER_CONFIG,
    "special_tokens_map.json": tokenizer_files.SPECIAL,
    "tokenizer.json": tokenizer_files.TOKENIZER,
    "sentence_bert_config.json": sentence_files.TRANSFORMER,
    "config_sentence_transformers.json": sentence_files.MODEL,
    "Pooling/config.json": sentence_files.POOLING,
    "Normalize/config.json": sentence_files.NORMALIZE,
}
# Of tokenizers in general; BertTokenizer has no use for them.
WITHOUT_USE = {"self", "kwargs", "vocab"}


def unknown(folder: Path) -> Iterator[str]:
    """Keys of a folder's JSON files that no table knows."""
    for path in sorted(folder.rglob("*.json")):
        values = json.loads(path.read_text())
        name = str(path.relative_to(folder))
        if name == "modules.json":
            for module in values:
                yield from (f"{name}: {key}" for key in module if key not in sentence_files.MODULE)
            continue
        table = TABLES.get(name.partition("_")[2] if path.parent != folder else name)
        if table is None:
            yield f"{name}: the file itself"
            continue
        yield from (f"{name}: {key}" for key in values if key not in table)
        if name == "tokenizer.json":
            parts = {"normalizer": tokenizer_files.NORMALIZER, "model": tokenizer_files.MODEL}
            for part, keys in parts.items():
                yield from (f"{name}: {part}.{key}" for key in values[part] if key not in keys)
        for entry in values.get("added_tokens", values.get("added_tokens_decoder", {}).values()):
            yield from (f"{name}: {key}" for key in entry if key not in tokenizer_files.TOKEN)


def tokenizer_of(folder: Path) -> Any:
    config = {
        "do_lower_case": True, "additional_special_tokens": ["[E1]"], "bos_token": "[BOS]",
        "added_tokens_decoder": {"19": token("[E1]")},
    }  # fmt: skip
    contents = {"tokenizer": described(True), "tokenizer_config": config}
    return transformers.AutoTokenizer.from_pretrained(make(folder, **contents))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as both libraries save them: of every head, of sentences, of pairs."""
    place = tmp_path_factory.mktemp("theirs")
    tokenizer = tokenizer_of(place / "tokenizer")
    config = transformers.BertConfig(
        vocab_size=len(TOKENS), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16, id2label={0: "x"}, label2id={"x": 0},
        problem_type="regression",
    )  # fmt: skip
    for name in ("BertModel", "BertForSequenceClassification", "BertForPreTraining"):
        getattr(transformers, name)(config).save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)
    steps = [Transformer(str(place / "BertModel")), Pooling(8, ("mean", "max")), Normalize()]
    SentenceTransformer(
        modules=steps, device="cpu", prompts={"query": "a "}, default_prompt_name="query",
        truncate_dim=3, similarity_fn_name="dot",
    ).save(str(place / "sentence"))  # fmt: skip
    pairs = CrossEncoder(str(place / "BertForSequenceClassification"), device="cpu")
    pairs.save(str(place / "pairs"))
    return place


@pytest.mark.parametrize(
    "name",
    ["BertModel", "BertForSequenceClassification", "BertForPreTraining", "sentence", "pairs"],
)
def test_saved_folders(theirs: Path, name: str) -> None:
    assert len(list((theirs / name).rglob("*.json"))) >= 3
    assert list(unknown(theirs / name)) == []


def test_what_their_classes_may_write() -> None:
    """Keys that no folder above has: at their defaults, they are left out."""
    config = transformers.BertConfig()
    may = {name for name in [*config.to_dict(), *vars(config)] if name[:1] != "_"}
    assert sorted(may - set(config_json.CONFIG)) == []
    for cls in (transformers.BertTokenizer, transformers.PreTrainedTokenizerBase):
        names = set(inspect.signature(cls).parameters) | set(cls.SPECIAL_TOKENS_ATTRIBUTES)
        assert sorted(names - set(tokenizer_files.TOKENIZER_CONFIG) - WITHOUT_USE) == []
    arguments = set(inspect.signature(Transformer.__init__).parameters)
    for keys, table in (
        ({*Transformer.config_keys, "max_seq_length", "do_lower_case"}, sentence_files.TRANSFORMER),
        ({name for name in arguments if name.endswith(("args", "kwargs"))} - {"kwargs"},
         sentence_files.TRANSFORMER),
        (set(Pooling.config_keys), sentence_files.POOLING),
        (set(Normalize.config_keys), sentence_files.NORMALIZE),
    ):  # fmt: skip
        assert keys
        assert sorted(keys - set(table)) == []


def test_a_new_key_is_seen(tmp_path: Path) -> None:
    make(tmp_path, tokenizer=described(True), tokenizer_config={"soft_casing": True})
    assert list(unknown(tmp_path)) == ["tokenizer_config.json: soft_casing"]


@pytest.mark.parametrize("table", [*TABLES.values(), own_file.OWN], ids=[*TABLES, "plainbert.json"])
def test_tables(table: schema.Keys) -> None:
    for name, key in table.items():
        assert key.use in (FOLLOWED, IDLE, REFUSED, NOTED), name
        assert bool(key.why) == (key.use in (REFUSED, NOTED)), name


def test_followed_keys_are_read_somewhere() -> None:
    """A key that is said to be followed stands in the code that follows it."""
    package = Path(schema.__file__).parent.parent
    texts = [path.read_text() for path in package.rglob("*.py") if path.parent.name != "keys"]
    tables = [*TABLES.values(), own_file.OWN]
    names = {name for table in tables for name, key in table.items() if key.use == FOLLOWED}
    # Special tokens and poolings are read by their roles and the table of flags.
    named = {name for name in names if not name.endswith("_token")}
    named -= set(sentence_files.POOLING_FLAGS) | set(sentence_files.NORMALIZE)
    named -= set(config_json.ACTIVATION_KEYS)
    code = "\n".join(texts)
    assert sorted(name for name in named if name not in code) == []


def test_every_key_that_we_write_is_known() -> None:
    """The dicts that go into ``plainbert.json``: ``about={...}``, ``about = {...}``."""
    written = set()
    for path in Path(schema.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = []
            if isinstance(node, ast.Call):
                values = [word.value for word in node.keywords if word.arg == "about"]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "about":
                values = [node.value]
            for value in values:
                if isinstance(value, ast.Dict):
                    written |= {key.value for key in value.keys if isinstance(key, ast.Constant)}
    assert {"step", "task", "tag_scheme", "doc_stride"} <= written
    assert written - own_file.OWN.keys() == set()
