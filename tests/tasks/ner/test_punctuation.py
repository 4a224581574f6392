"""Words and the marks behind them; rows and splits; the script that writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from plainbert.cli.run import run
from plainbert.tasks.ner import conll, punctuation
from tests.helpers import scripts

HERE = Path(__file__).resolve().parents[3]
SAMPLE = HERE / "data" / "pretrain" / "en_novels_sample.txt"
script = scripts.load(HERE / "scripts" / "bert" / "create_punctuation_data.py")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("How are you? Fine, thanks.", "how are you/Q fine/C thanks/P"),
        ('"Stop!" she cried; "it\'s mine."', "stop/E she cried/C it's mine/P"),
        ("Mr. Lee met Dr. St. John", "mr lee met dr st john"),
        ("So ca. ten men. Ten.", "so ca ten men/P ten/P"),
        ("He left with Mr.", "he left with mr/P"),
        ("J. R. Smith of the U.S. Army", "j r smith of the u.s army"),
        ("It cost 1,000.50 at 10:30, viz. too much.", "it cost 1,000.50 at 10:30/C viz too much/P"),
        ("He waited... Nothing -- not a sound.", "he waited/P nothing/C not a sound/P"),
        ("well-known O’Neil’s “dog”?!", "well-known o'neil's dog/Q"),
        ("He (the old one) slept. Then woke.", "he the old one slept/P then woke/P"),
        ("你好，世界！ OK。", "你 好/C 世 界/E ok/P"),
        ("...! , ?", ""),
        ("I? Yes! A. B", "i/Q yes/E a b"),
        ("Did he? No. He did not.", "did he/Q no/P he did not/P"),
    ],
)
def test_words_and_the_mark_behind_each(line: str, words: str) -> None:
    right = [(word, label or "O") for word, _, label in (w.partition("/") for w in words.split())]

    assert punctuation.labelled(line) == right


def test_rows_go_on_where_the_last_one_ended() -> None:
    lines = ["One, two three.", "Four!", "Five six; seven eight."]

    rows = list(punctuation.rows_of(lines, 3))

    assert [" ".join(word for word, _ in row) for row in rows] == [
        "one two three",
        "four five six",
        "seven eight",
    ]
    assert ["".join(label for _, label in row) for row in rows] == ["COP", "EOC", "OP"]
    assert list(punctuation.rows_of(["--"], 3)) == []


def test_the_novels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every chapter in one split, no word lost, and the same result again."""
    words = ["--input_file", str(SAMPLE), "--dev_share", "0.15", "--test_share", "0.15"]
    found = script.main([*words, "--output_dir", str(tmp_path / "one")])
    script.main([*words, "--output_dir", str(tmp_path / "two")])
    other = script.main([*words, "--output_dir", str(tmp_path / "three"), "--seed", "7"])

    assert found["documents"] == 75
    printed = capsys.readouterr().out
    sets = {}
    for split in ("train", "dev", "test"):
        path = tmp_path / "one" / f"{split}.tsv"
        assert path.read_bytes() == (tmp_path / "two" / f"{split}.tsv").read_bytes()
        again = (tmp_path / "three" / f"{split}.tsv").read_text().splitlines()
        assert again != path.read_text().splitlines()
        assert sorted(again) == sorted(path.read_text().splitlines())
        data = conll.read(path)
        assert data.form == "rows"
        assert len(data) == found["rows"][split]
        assert all(len(each.words) <= 100 for each in data.sentences)
        sets[split] = sorted(" ".join(each.words) for each in data.sentences)
        assert f"{split}: {len(data)} rows; O " in printed
    assert other["rows"] == found["rows"]
    assert 0.5 < found["rows"]["train"] / sum(found["rows"].values()) < 0.9
    every = [row for part in sets.values() for row in part]
    text = SAMPLE.read_text("utf-8").lower()
    chapters = re.split(r"\n\s*\n", text.strip())
    letters = sum(map(str.isalpha, "".join(chapters)))
    assert sum(map(str.isalpha, "".join(every))) == letters
    assert set(found["labels"]["train"]) == set("OCPQE")


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One, two.\n\nThree.\n")

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            run(
                lambda: script.main(
                    ["--input_file", str(path), "--output_dir", str(tmp_path / "out"), *words]
                )
            )
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "got none of the 2 document(s)" in said("--dev_share", "0.001", "--test_share", "0")
    assert "leave nothing to train on" in said("--dev_share", "0.5", "--test_share", "0.5")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/dev.tsv").touch()
    assert "holds dev.tsv. Add --overwrite" in said()
    shares = ["--dev_share", "0", "--test_share", "0", "--overwrite"]
    done: Any = script.main(
        ["--input_file", str(path), "--output_dir", str(tmp_path / "out"), *shares]
    )
    assert done["rows"] == {"train": 2, "dev": 0, "test": 0}
    assert not (tmp_path / "out/dev.tsv").exists()
