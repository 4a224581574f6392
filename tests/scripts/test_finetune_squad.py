"""The script as users run it: numbers on real text, files it leaves, mistakes it names."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from plainbert import checkpoint
from plainbert.cli.run import run
from plainbert.recipes import finetune_squad as script
from plainbert.recipes import predict_squad
from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.files import read
from tests.helpers import evaluate_squad, folders, questions
from tests.helpers.processes import Command, environment

HERE = Path(__file__).resolve().parents[2]
SCRIPT = HERE / "scripts/bert/finetune_squad.py"
FIXTURES = HERE / "tests/fixtures"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder in a folder, and questions."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    checkpoint.write(folder / "model", folders.tiny("embedding"), folders.tokenizer())
    for name, impossible in (("1", False), ("2", True)):
        questions.write(folder / f"train{name}.json", 48, 1, impossible)
        questions.write(folder / f"dev{name}.json", 12, 2, impossible, most=40)
        questions.write(folder / f"test{name}.json", 9, 3, impossible)
    return folder


def words_for(tiny: Path, output: Path, *more: str, version: str = "1") -> list[str]:
    return [
        "--model_dir",
        str(tiny / "model"),
        "--train_file",
        str(tiny / f"train{version}.json"),
        "--predict_file",
        str(tiny / f"dev{version}.json"),
        "--epochs",
        "6",
        "--lr",
        "3e-3",
        "--batch_size",
        "8",
        "--max_seq_length",
        "24",
        "--max_query_length",
        "6",
        "--doc_stride",
        "8",
        "--dtype",
        "float32",
        "--output_dir",
        str(output),
        *more,
    ]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_learns_and_leaves_everything_behind(tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    scores = script.main(words_for(tiny, output))

    assert scores["dev"]["f1"] >= 80
    assert scores["dev"].keys() == {"exact_match", "f1"}
    assert read_json(output / "eval_results.json") == scores
    dev = read(tiny / "dev1.json").questions
    said = read_json(output / "predictions.json")
    assert list(said) == [each.id for each in dev]
    gold = {each.id: [answer.text for answer in each.answers] for each in dev}
    assert metrics.squad_v1(gold, said) == scores["dev"]
    nbest = read_json(output / "nbest_predictions.json")
    for each in dev:
        listed = nbest[each.id]
        assert listed[0]["text"] == said[each.id]
        assert sum(one["probability"] for one in listed) == pytest.approx(1)
        for one in listed:
            assert each.context[one["start"] : one["end"]] == one["text"]
    assert not (output / "null_odds.json").exists()
    about = read_json(output / "best/plainbert.json")
    kept = ("task", "max_length", "doc_stride", "max_query_length", "version_2")
    assert [about[key] for key in kept] == ["squad", 24, 8, 6, False]
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert sum("dev/f1" in record for record in records) == 6
    assert "12 contexts" in (output / "log.txt").read_text()


def test_version_2_with_its_threshold(tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    scores = script.main(words_for(tiny, output, "--version_2", version="2"))["dev"]

    assert scores["best_f1"] >= 80
    odds = read_json(output / "null_odds.json")
    probabilities = read_json(output / "na_probs.json")
    said = read_json(output / "predictions.json")
    assert sorted(odds, key=odds.__getitem__) == sorted(odds, key=probabilities.__getitem__)
    assert all((not said[key]) == (odds[key] > 0) for key in said)
    dev = read(tiny / "dev2.json").questions
    gold = {each.id: [answer.text for answer in each.answers] for each in dev}
    # The official script over the files: the same scores, and with -n the same best ones.
    official = metrics.squad_v2(gold, said)
    assert official == {key: scores[key] for key in official}
    dev_file, na_probs = tiny / "dev2.json", output / "na_probs.json"
    assert evaluate_squad.evaluate(dev_file, output / "predictions.json") == official
    raw = evaluate_squad.evaluate(dev_file, output / "raw_predictions.json", na_probs, 0.5)
    assert {key: raw[key] for key in official} == official  # a score difference of 0 is 0.5
    assert raw["best_f1"] == scores["best_f1"]
    assert raw["best_exact"] == scores["best_exact"]
    threshold = scores["best_f1_thresh"]
    assert raw["best_f1_thresh"] == pytest.approx(1 / (1 + math.exp(-threshold)))
    assert read_json(output / "best/plainbert.json")["null_score_diff_threshold"] == threshold

    again = predict_squad.main(
        [
            "--model_dir",
            str(output / "best"),
            "--file",
            str(tiny / "dev2.json"),
            "--output_dir",
            str(tmp_path / "again"),
        ]
    )["scores"]
    assert again["f1"] == pytest.approx(scores["best_f1"])
    at = [key for key, value in odds.items() if value > threshold + 1e-4]
    assert all(read_json(tmp_path / "again/predictions.json")[key] == "" for key in at)


def test_a_file_of_its_own_for_the_threshold(tiny: Path, tmp_path: Path) -> None:
    words = words_for(tiny, tmp_path / "run", "--version_2", "--epochs", "2", version="2")
    words[words.index("--predict_file")] = "--dev_file"
    scores = script.main([*words, "--predict_file", str(tiny / "test2.json")])

    threshold = scores["dev"]["best_f1_thresh"]
    odds = read_json(tmp_path / "run/null_odds.json")
    said = read_json(tmp_path / "run/predictions.json")
    assert len(said) == 18
    assert all((not said[key]) == (odds[key] > threshold) for key in said)


def test_only_predict_repeats_the_scores(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = script.main(words_for(tiny, tmp_path / "run", "--epochs", "2"))
    words = [
        "--model_parameters", str(tmp_path / "run/best"), "--only_predict", "--predict_file",
        str(tiny / "dev1.json"), "--max_seq_length", "24", "--max_query_length", "6",
        "--doc_stride", "8", "--dtype", "float32", "--output_dir", str(tmp_path / "again"),
        "--cache_dir", str(tmp_path / "run/cache"),
    ]  # fmt: skip
    again = script.main(words)

    assert again == trained
    assert not (tmp_path / "again/best").exists()
    assert not (tmp_path / "again/cache").exists()
    for name in ("predictions.json", "nbest_predictions.json"):
        assert read_json(tmp_path / "again" / name) == read_json(tmp_path / "run" / name)
    # Google's way to say it.
    google = ["--do_predict" if word == "--only_predict" else word for word in words]
    assert script.main([*google, "--overwrite"]) == trained


def test_a_stopped_run_ends_with_the_weights_it_would_have_had(tiny: Path, tmp_path: Path) -> None:
    words = words_for(tiny, tmp_path / "run", "--epochs", "2", "--save_steps", "5")
    script.main(words)
    end = load_file(tmp_path / "run/last/model.safetensors")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(_StopHere):
        _stop_after(words, step=17)
    script.main([*words, "--resume"])
    resumed = load_file(tmp_path / "run/last/model.safetensors")

    assert end.keys() == resumed.keys()
    assert all(torch.equal(end[name], resumed[name]) for name in end)


class _StopHere(Exception):
    """Stands for a kill between two steps."""


def _stop_after(words: list[str], step: int) -> None:
    from plainbert.train.step import Stepper

    original = Stepper.step

    def counted(self: Stepper, number: int, *rest: object) -> object:
        if number == step:
            raise _StopHere
        return original(self, number, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", counted)
        script.main(words)


def test_two_processes_answer_every_question_once(tiny: Path, tmp_path: Path) -> None:
    common = ("--epochs", "1", "--dropout", "0", "--attention_dropout", "0", "--optimizer", "sgd",
              "--version_2")  # fmt: skip
    one = words_for(tiny, tmp_path / "one", *common, version="2")
    two = words_for(tiny, tmp_path / "two", *common, "--batch_size", "4", version="2")
    script.main(one)
    line = [sys.executable, str(SCRIPT), *two, "--num_local_ranks", "2"]
    done = Command(line, environment()).wait(120)
    assert done.status == 0, done.text
    want, found = tmp_path / "one", tmp_path / "two"
    assert read_json(found / "predictions.json") == read_json(want / "predictions.json")
    odds, right = (read_json(each / "null_odds.json") for each in (found, want))
    assert odds == pytest.approx(right, abs=1e-4)
    weights, expected = (load_file(each / "last/model.safetensors") for each in (found, want))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=2e-6, msg=name)


def test_a_model_from_scratch_with_sentencepiece(tiny: Path, tmp_path: Path) -> None:
    words = words_for(tiny, tmp_path / "run", "--epochs", "1")
    at = words.index("--model_dir")
    words[at : at + 2] = [
        "--sentencepiece", str(FIXTURES / "text/bpe1000.model"), "--bert_model", "bert_1_16_2",
    ]  # fmt: skip
    scores = script.main(words)

    assert scores.keys() == {"dev"}
    assert (tmp_path / "run/best/spm.model").is_file()
    assert read_json(tmp_path / "run/best/config.json")["num_hidden_layers"] == 1


def test_the_usual_folder_and_a_quick_look(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squad").mkdir()
    shutil.copy(tiny / "dev1.json", tmp_path / "squad/dev-v1.1.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SQUAD_DIR", raising=False)
    script.main(
        [
            "--model_dir",
            str(tiny / "model"),
            "--debug",
            "--epochs",
            "1",
            "--doc_stride",
            "8",
            "--output_dir",
            "run",
        ]
    )

    assert len(read_json(tmp_path / "run/predictions.json")) == 3


def test_chinese_is_scored_by_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    folder = checkpoint.write(
        tmp_path / "m", folders.tiny("question_answering"), folders.tokenizer()
    )
    with caplog.at_level("INFO", "plainbert"):
        scores = script.main(
            ["--only_predict", "--model_parameters", str(folder), "--predict_file",
             str(FIXTURES / "squad/cmrc2018.json"), "--doc_stride", "8", "--output_dir",
             str(tmp_path / "run")]
        )  # fmt: skip

    assert scores["dev"].keys() == {"exact_match", "f1"}
    assert "the scores are CMRC 2018's, by characters" in caplog.text
    assert "4 answers that are not in their context" in caplog.text


@pytest.mark.slow
def test_real_weights_on_real_questions(tmp_path: Path) -> None:
    file = str(FIXTURES / "squad/dev-v1.1.json")
    scores = script.main(
        ["--model_dir", "all-MiniLM-L6-v2", "--train_file", file, "--predict_file", file, "--lr",
         "1e-4", "--epochs", "12", "--batch_size", "4", "--max_train_samples", "8", "--max_len",
         "192", "--max_eval_samples", "8", "--eval_steps", "60", "--save_steps", "60",
         "--output_dir", str(tmp_path / "run")]
    )  # fmt: skip

    # Nobody gets far with 8 questions but on those.
    assert scores["dev"]["f1"] >= 70


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only_predict"], "--model_parameters or --model_dir"),
        (["--uncased", "--do_lower_case", "false"], "exclude each other"),
        (["--train_batch_size", "8", "--batch_size", "8"], "exclude each other"),
        (["--train_batch_size", "9", "--gradient_accumulation_steps", "2"], "a multiple of the 2"),
        (["--num_train_epochs", "2.5"], "--training_steps"),
        (["--null_score_diff_threshold", "1"], "needs --version_2"),
        (["--max_seq_length", "60", "--max_query_length", "57"], "no room"),
        (["--sentencepiece", "x", "--model_dir", "y"], "exclude each other"),
        (["--deploy"], "plainbert export"),
        (["--init_checkpoint", "x"], "--model_dir"),
        (["--train_file", "BROKEN", "--model_dir", "TINY"], "is not JSON"),
        (["--train_file", "TWICE", "--dev_file", "TWICE", "--model_dir", "TINY"], "'q'"),
        (["--train_file", "LOST", "--model_dir", "TINY"], "no question that can be trained on"),
        (["--train_file", "GOOD", "--model_dir", "TINY", "--max_len", "400"], "32 positions"),
        (
            ["--train_file", "GOOD", "--predict_file", "none.json", "--model_dir", "TINY"],
            "none.json",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named(
    tiny: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    qa = {"id": "q", "question": "?", "answers": [{"text": "dog", "answer_start": 0}]}
    article = {"paragraphs": [{"context": "a cat", "qas": [qa]}]}
    files = {
        "BROKEN": '{"data": [', "LOST": json.dumps({"data": [article]}),
        "TWICE": json.dumps({"data": [article, article]}),
    }  # fmt: skip
    names = {"TINY": str(tiny / "model"), "GOOD": str(tiny / "train1.json")}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        names[name] = str(tmp_path / name)
    words = [names.get(word, word) for word in words]
    with pytest.raises(SystemExit) as ended:
        run(lambda: script.main([*words, "--output_dir", str(tmp_path / "run")]))

    assert ended.value.code == 2
    printed = capsys.readouterr().err
    errors = printed[printed.index("error: ") :].strip().splitlines()
    assert 1 <= len([line for line in errors if not line.startswith("  - ")]) <= 3
    assert said in " ".join(errors)


def test_flags_of_run_squad_mean_the_same() -> None:
    args = script.parse_args(
        ["--do_lower_case", "--do_train", "--do_predict", "--learning_rate", "3e-5",
         "--num_train_epochs", "2.0", "--max_seq_length", "384", "--doc_stride", "128",
         "--train_batch_size", "24", "--gradient_accumulation_steps", "2", "--warmup_proportion",
         "0.2", "--predict_batch_size", "8", "--version_2_with_negative"]
    )  # fmt: skip

    assert (args.batch_size, args.accumulate, args.epochs) == (12, 2, 2)
    assert (args.lr, args.warmup_ratio, args.version_2) == (3e-5, 0.2, True)
    assert (args.do_lower_case, args.only_inference) == (True, False)
    assert script.parse_args(["--do_predict", "--model_dir", "x"]).only_inference


def test_uncased_lower_cases_and_says_so() -> None:
    args = script.parse_args(["--uncased"])

    assert args.do_lower_case is True
    assert any("--uncased lower-cases" in note for note in args.notes)
    assert script.parse_args([]).do_lower_case is None
