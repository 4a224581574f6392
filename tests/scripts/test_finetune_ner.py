"""The script as users run it: what it learns, the files it leaves, the mistakes it names."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics
import torch
from safetensors.torch import load_file

from plainbert import checkpoint, model_zoo
from plainbert.cli.run import run
from plainbert.recipes import finetune_ner as script
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.tags import convert
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
NER = HERE / "tests" / "fixtures" / "ner"
SCRIPT = HERE / "scripts" / "bert" / "finetune_ner.py"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder in a folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return checkpoint.write(folder, folders.tiny("embedding"), folders.tokenizer())


def sentence(generator: random.Random) -> list[tuple[str, str]]:
    """ "the cat ..." is an animal of two or three words, "b" is a place."""
    made: list[tuple[str, str]] = []
    for _ in range(generator.randint(1, 4)):
        made += generator.choice(
            [
                [("the", "I-ANI"), ("cat", "I-ANI")],
                [("b", "I-LOC")],
                [("a", "O")],
                [("aba", "O"), ("c", "O")],
            ]
        )
        made.append(("c", "O"))
    return made


def write(path: Path, form: str, count: int, seed: int) -> None:
    generator = random.Random(seed)
    text = ""
    for _ in range(count):
        rows = sentence(generator)
        if form == "rows":  # labels that mark nothing
            labels = [{"I-ANI": "A", "I-LOC": "L"}.get(tag, "O") for _, tag in rows]
            text += " ".join(word for word, _ in rows) + "\t" + " ".join(labels) + "\n"
        else:
            text += "".join(f"{word} X {tag}\n" for word, tag in rows) + "\n"
    path.write_text(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for form, suffix in (("columns", "conll"), ("rows", "tsv")):
        for number, (split, count) in enumerate((("train", 120), ("dev", 20), ("test", 20))):
            write(tmp_path / f"{split}.{suffix}", form, count, number)
    return tmp_path


def words_for(
    tiny: Path, data: Path, suffix: str, *more: str, folder: str = "--output_dir"
) -> list[str]:
    return [
        "--model_dir",
        str(tiny),
        "--train-path",
        str(data / f"train.{suffix}"),
        "--dev-path",
        str(data / f"dev.{suffix}"),
        "--test-path",
        str(data / f"test.{suffix}"),
        "--num-epochs",
        "8",
        "--learning-rate",
        "5e-3",
        "--batch-size",
        "8",
        "--seq-len",
        "12",
        "--dtype",
        "float32",
        "--dropout-prob",
        "0",
        "--seed",
        "13531",
        folder,
        str(data / "run"),
        *more,
    ]


def read_predictions(path: Path) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Words, gold and predicted tags of every sentence, read plainly."""
    blocks = [block.splitlines() for block in path.read_text().strip().split("\n\n")]
    rows = [[line.split(" ") for line in block] for block in blocks]
    columns = [[list(column) for column in zip(*block, strict=True)] for block in rows]
    return tuple([block[i] for block in columns] for i in range(3))  # type: ignore[return-value]


def test_entities_are_learned_and_everything_is_left_behind(tiny: Path, data: Path) -> None:
    scores = script.main(words_for(tiny, data, "conll"))

    assert scores["dev"]["f1"] >= 0.9
    assert scores["test"]["f1"] >= 0.9
    folder = data / "run"
    assert json.loads((folder / "eval_results.json").read_text()) == scores
    for split in ("dev", "test"):
        words, gold, predicted = read_predictions(folder / f"{split}_predictions.conll")
        source = conll.read(data / f"{split}.conll").sentences
        assert [tuple(each) for each in words] == [each.words for each in source]
        assert gold == [convert(each.tags or (), "iob2") for each in source]
        assert scores[split]["f1"] == seqeval.metrics.f1_score(gold, predicted)
        assert scores[split]["accuracy"] == seqeval.metrics.accuracy_score(gold, predicted)
        # As the file has them, in IOB1, seqeval counts the same.
        raw = [list(each.tags or ()) for each in source]
        assert scores[split]["f1"] == seqeval.metrics.f1_score(raw, predicted)
    by_type = json.loads((folder / "report.json").read_text())
    assert list(by_type["dev"]) == ["ANI", "LOC", "all"]
    assert by_type["test"]["all"]["f1"] == pytest.approx(scores["test"]["f1"])
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluated = [record for record in records if "dev/f1" in record]
    assert len(evaluated) == 8
    best = max(evaluated, key=lambda record: record["dev/f1"])
    assert best["dev/f1"] == scores["dev"]["f1"]
    assert (folder / "best").readlink() == Path(f"step-{best['step']:07d}")
    # IOB1 in, IOB2 learned.
    assert model_zoo.labels_of(folder / "best") == ("O", "B-ANI", "I-ANI", "B-LOC")
    about = json.loads((folder / "best/plainbert.json").read_text())
    assert (about["task"], about["max_length"], about["tag_scheme"]) == ("tagging", 12, "iob2")
    assert "windows" in (folder / "log.txt").read_text()  # some are longer than 12 tokens


def test_a_tagger_that_is_trained_further_keeps_its_tags(tiny: Path, data: Path) -> None:
    first = words_for(tiny, data, "conll", "--epochs", "2", "--tag_scheme", "bioes")
    script.main(first)
    labels = model_zoo.labels_of(data / "run" / "last")
    assert labels == ("O", "B-ANI", "E-ANI", "S-LOC")
    again = ["--epochs", "1", "--learning-rate", "0", "--output_dir", str(data / "again")]
    scores = script.main([*words_for(data / "run" / "best", data, "conll"), *again])
    assert model_zoo.labels_of(data / "again" / "last") == labels
    before = json.loads((data / "run" / "eval_results.json").read_text())
    assert scores["dev"] == pytest.approx(before["dev"])  # the head was kept


def test_labels_of_any_kind(tiny: Path, data: Path) -> None:
    scores = script.main(words_for(tiny, data, "tsv", folder="--save-checkpoint-prefix"))

    assert tuple(scores["dev"]) == ("macro_f1", "micro_f1", "accuracy")
    assert scores["dev"]["macro_f1"] >= 0.9
    lines = (data / "run/test_predictions.tsv").read_text().splitlines()
    gold = (data / "test.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [line.split("\t")[0] for line in gold]
    said = [tag for line in lines for tag in line.split("\t")[1].split()]
    right = [tag for line in gold for tag in line.split("\t")[1].split()]
    share = sum(a == b for a, b in zip(said, right, strict=True)) / len(right)
    assert scores["test"]["accuracy"] == pytest.approx(share)
    assert model_zoo.labels_of(data / "run/best") == ("O", "A", "L")
    assert list(json.loads((data / "run/report.json").read_text())["dev"]) == ["A", "L", "O"]


def test_only_inference_and_a_test_set_without_tags(tiny: Path, data: Path) -> None:
    words = words_for(tiny, data, "conll", "--num-epochs", "2", "--tag_scheme", "iob2")
    trained = script.main(words)
    (data / "bare.conll").write_text(
        "\n".join(
            line.split()[0] if line else ""
            for line in (data / "test.conll").read_text().splitlines()
        )
    )
    model = ["--model_parameters", str(data / "run/best"), "--only_inference", "--dtype", "float32"]
    again = script.main(
        [
            *model,
            "--dev-path",
            str(data / "dev.conll"),
            "--test-path",
            str(data / "test.conll"),
            "--output_dir",
            str(data / "again"),
        ]
    )
    bare = script.main(
        [*model, "--test-path", str(data / "bare.conll"), "--output_dir", str(data / "bare")]
    )

    assert again == trained
    assert model_zoo.labels_of(data / "run/best") == ("O", "B-ANI", "I-ANI", "B-LOC")
    assert bare == {}
    with_tags = (data / "again/test_predictions.conll").read_text().splitlines()
    without = (data / "bare/test_predictions.conll").read_text().splitlines()
    assert [line.split()[::2] for line in with_tags] == [line.split() for line in without]


def test_real_files_with_faults(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """WNUT trains, BTC is dev: other types, ten malformed lines; all of it said."""
    scores = script.main(
        [
            "--model_dir", str(tiny), "--train-path", str(NER / "wnut17.conll"), "--dev-path",
            str(NER / "btc.conll"), "--test-path", str(NER / "wikigold.conll"), "--num-epochs",
            "1", "--output_dir", str(tmp_path / "run"),
        ]
    )  # fmt: skip

    assert set(scores) == {"dev", "test"}
    log = (tmp_path / "run/log.txt").read_text()
    assert "6 line(s) with no word before the tag" in log
    assert "4 line(s) with a word that holds a blank" in log
    assert f"{NER / 'btc.conll'}:" in log
    assert "dev has tags that the model was not trained for" in log
    assert "B-LOC (1), B-PER (2)" in log
    assert f"{NER / 'wikigold.conll'}: the tags mark entities in IOB1" in log
    assert "precision" in log
    assert (tmp_path / "run/best").exists()


def test_columns_as_other_tools_write_them(tiny: Path, data: Path) -> None:
    """Remarks, counted words, and tags such as ani_i: the same is learned from them."""
    right = script.main(words_for(tiny, data, "conll", "--epochs", "2"))
    for split in ("train", "dev", "test"):
        blocks = (data / f"{split}.conll").read_text().strip().split("\n\n")
        text = ""
        for number, block in enumerate(blocks):
            text += f"# id {number}\tdomain=en\n"
            for place, line in enumerate(block.splitlines(), start=1):
                word, other, tag = line.split()
                spelled = "_".join(reversed(tag.lower().split("-")))
                text += f"{place}\t{word}\t{spelled}\t{other}\n"
            text += "\n"
        (data / f"{split}.odd").write_text(text)
    words = words_for(tiny, data, "odd", "--epochs", "2", "--output_dir", str(data / "odd"))

    scores = script.main([*words, "--tag_column", "2"])

    assert scores == right
    assert model_zoo.labels_of(data / "odd" / "best") == ("O", "B-ani", "I-ani", "B-loc")
    log = (data / "odd" / "log.txt").read_text()
    assert "120 remarks left out" in log
    assert "the first column counts the words" in log
    assert "read as: " in log
    assert "the/ani_i cat/ani_i" in log
    assert "tags in an unusual spelling are read as usual ones" in log
    assert "ani_i (" in log
    again = script.main(
        ["--model_parameters", str(data / "odd/best"), "--only_inference", "--dtype", "float32",
         "--dev-path", str(data / "dev.odd"), "--tag_column", "-2",
         "--output_dir", str(data / "again")]
    )  # fmt: skip
    assert again["dev"] == scores["dev"]


class _StopHere(Exception):
    """Stands for a kill between two steps."""


def test_a_stopped_run_ends_with_the_weights_it_would_have_had(tiny: Path, data: Path) -> None:
    from plainbert.train.step import Stepper

    original = Stepper.step
    whole = words_for(tiny, data, "conll", "--num-epochs", "2", "--save_steps", "5")

    def counted(self: Stepper, number: int, *rest: Any) -> Any:
        if number == 12:
            raise _StopHere
        return original(self, number, *rest)

    once = script.main(whole)
    end = load_file(data / "run/last/model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", counted)
        with pytest.raises(_StopHere):
            script.main([*whole, "--overwrite"])
    again = script.main([*whole, "--resume"])
    resumed = load_file(data / "run/last/model.safetensors")

    assert all(torch.equal(end[name], resumed[name]) for name in end)
    assert again == once


def test_two_processes_learn_what_one_does(tiny: Path, data: Path) -> None:
    common = ("--num-epochs", "2", "--dropout", "0", "--attention_dropout", "0", "--optimizer",
              "sgd", "--learning-rate", "0.1", "--batch-size")  # fmt: skip
    one = script.main(words_for(tiny, data, "conll", *common, "8"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT),
         *words_for(tiny, data, "conll", *common, "4", "--overwrite", "--num_local_ranks", "2",
                    "--output_dir", str(data / "two"))],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
             "PYTHONPATH": str(HERE)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]

    two = json.loads((data / "two/eval_results.json").read_text())
    weights = [load_file(data / name / "last/model.safetensors") for name in ("run", "two")]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=0, atol=1e-5)
    assert two == one
    assert (data / "two/test_predictions.conll").read_text() == (
        data / "run/test_predictions.conll"
    ).read_text()


@pytest.mark.slow
def test_real_weights_on_real_sentences(tmp_path: Path) -> None:
    """Diseases in thirty sentences can be learned by heart."""
    scores = script.main(
        [
            "--model_dir", "all-MiniLM-L6-v2", "--train-path", str(NER / "ncbi.txt"), "--dev-path",
            str(NER / "ncbi.txt"), "--num-epochs", "8", "--learning-rate", "2e-4",
                "--optimizer", "adamw",
            "--batch-size", "4", "--output_dir", str(tmp_path / "run"), "--tag_scheme", "iob2",
        ]
    )  # fmt: skip

    assert scores["dev"]["f1"] >= 0.9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--train-path is missing"),
        (["--only_inference"], "nothing to evaluate"),
        (["--train-path", "BAD"], "3: 1 column(s); 2 are expected"),
        (["--train-path", "SAME"], "every word has the tag 'O'"),
        (["--train-path", "TRAIN", "--dev-path", "BARE"], "a word without a tag"),
        (["--train-path", "TRAIN", "--dev-path", "gone.conll"], "does not exist"),
        (["--train-path", "TRAIN", "--tag_scheme", "bilou"], "Did you mean"),
        (["--train-path", "TRAIN", "--seq-len", "400"], "32 positions"),
        (["--train-path", "TRAIN", "--seq-len", "2"], "too short"),
        (["--train-path", "TRAIN", "--dev-path", "TRAIN", "--metric", "macro_f1"], "f1, precision"),
        (
            ["--train-path", "TRAIN", "--cased", "false", "--bert_dataset", "x"],
            "exclude each other",
        ),
        (["--train-path", "TRAIN", "--cased", "maybe"], "neither true nor false"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named(
    tiny: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"TRAIN": "a O\nthe B-X\n", "BAD": "a O\nb O\nc\n", "SAME": "a O\n", "BARE": "a\nb\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.conll").write_text(text)
    words = [str(tmp_path / f"{word}.conll") if word in texts else word for word in words]
    with pytest.raises(SystemExit) as ended:
        run(
            lambda: script.main(
                [*words, "--model_dir", str(tiny), "--output_dir", str(tmp_path / "run")]
            )
        )

    assert ended.value.code == 2
    printed = capsys.readouterr().err
    errors = printed[printed.index("error: ") :].strip().splitlines()
    assert 1 <= len([line for line in errors if not line.startswith("  - ")]) <= 3
    assert said in " ".join(errors)
    if "column" in said or "tag" in said or "exist" in said:
        assert not (tmp_path / "run").exists()


def test_what_documented_flags_mean() -> None:
    def parsed(*words: str) -> Any:
        return script.parse_args(["--train-path", "t", *words])

    args = parsed()
    assert (args.bert_model, args.bert_dataset) == ("bert_12_768_12", "book_corpus_wiki_en_cased")
    assert (args.epochs, args.batch_size, args.lr, args.warmup_ratio) == (4, 32, 5e-5, 0.1)
    assert (args.max_len, args.seed, args.optimizer) == (180, 2, "bertadam")
    assert parsed("--cased", "false").bert_dataset == "book_corpus_wiki_en_uncased"
    assert parsed("--cased", "false").do_lower_case is None
    assert parsed("--cased", "yes", "--model_dir", "m").do_lower_case is False
    assert parsed("--save-checkpoint-prefix", "runs/x").output_dir == "runs/x"
    assert parsed("--dropout-prob", "0.2").dropout == 0.2
    assert any("num_workers" in note for note in parsed("--num_workers", "2").notes)
