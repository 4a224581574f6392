"""Every published task from files in its real layout; what is expected is written by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from plainbert.errors import DataError, UnknownNameError
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.names import NAMES

GOLDEN = Path(__file__).parents[2] / "golden" / "tasks"
DATA = Path(__file__).parents[3] / "data"

# task: split: (texts, label, row) of every example
EXPECTED: dict[str, dict[str, list[tuple[tuple[str, ...], str | float | None, str | int]]]] = {
    "MRPC": {
        "train": [
            (
                (
                    'The mayor said " the bridge will open in May .',
                    "In May the bridge will open , the mayor said .",
                ),
                "1",
                0,
            ),
            (("Shares fell 3 % on Monday .", "Shares rose 3 % on Friday ."), "0", 1),
        ],
        "dev": [
            (('"It rained all day , " she said .', "She said it had rained all day ."), "1", 0),
            (("The ship left the port .", "The port was closed ."), "0", 1),
        ],
        "test": [
            (("He sold the house .", "The house was sold by him ."), None, "0"),
            (("A storm is coming .", 'The storm " Otto " is over .'), None, "1"),
        ],
    },
    "QQP": {
        "train": [
            (("How do I bake bread?", "What is the way to bake bread?"), "1", "5"),
            (('Why is "the sky blue?', "Why is the sea green?"), "0", "7"),
        ],
        "dev": [
            (("Is tea healthy?", "Is coffee healthy?"), "0", "8"),
            (("Where is Oslo?", "Where can I find Oslo?"), "1", "9"),
        ],
        "test": [
            (("What is glass made of?", "How is glass made?"), None, "0"),
            (('Who drew "the map?', "Who made the map?"), None, "1"),
        ],
    },
    "QNLI": {
        "train": [
            (("When was the mill built?", "The mill was built in 1790."), "entailment", "0"),
            (('Who owns the "mill?', "The river turns the mill."), "not_entailment", "1"),
        ],
        "dev": [
            (("How deep is the lake?", "The lake is 40 metres deep."), "entailment", "0"),
            (("How deep is the lake?", "It freezes in January."), "not_entailment", "1"),
        ],
        "test": [
            (("Where do storks nest?", "Storks nest on chimneys."), None, "0"),
            (("What do storks eat?", "Storks nest on chimneys."), None, "1"),
        ],
    },
    "RTE": {
        "train": [
            (("Ana moved from Porto to Lisbon in 2001.", "Ana lived in Porto."), "entailment", "0"),
            (("The film won no prize.", "The film won a prize."), "not_entailment", "1"),
        ],
        "dev": [
            (("All trains are late.", "The 8:15 train is late."), "entailment", "0"),
            (("Some trains are late.", "All trains are late."), "not_entailment", "1"),
        ],
        "test": [
            (("The cat sleeps.", "An animal sleeps."), None, "0"),
            (("The cat sleeps.", "The cat runs."), None, "1"),
        ],
    },
    "WNLI": {
        "train": [
            (("The cup fell on the plate and it broke.", "The plate broke."), "1", "0"),
            (("The cup fell on the plate and it broke.", "The cup broke."), "0", "1"),
        ],
        "dev": [
            (("Tom thanked Jim because he had helped.", "Jim had helped."), "1", "0"),
            (("Tom thanked Jim because he had helped.", "Tom had helped."), "0", "1"),
        ],
        "test": [
            (
                ("The bag would not fit the box as it was too big.", "The bag was too big."),
                None,
                "0",
            ),
            (
                ("The bag would not fit the box as it was too small.", "The bag was too small."),
                None,
                "1",
            ),
        ],
    },
    "STS-B": {
        "train": [
            (("A dog runs on the beach.", "A dog is running along the shore."), 4.6, "0"),
            (('Say "yes.', "Two kids paint a wall."), 0.0, "1"),
        ],
        "dev": [
            (("A man plays a flute.", "A man is playing an instrument."), 3.25, "0"),
            (("Rain is expected.", "Snow is expected."), 1.8, "1"),
        ],
        "test": [
            (("A girl eats an apple.", "A girl is eating fruit."), None, "0"),
            (("A bus stops.", "A horse stops."), None, "1"),
        ],
    },
    "CoLA": {
        "train": [
            (("The lamp fell off the table.",), "1", 0),
            (("The lamp fell the table off to.",), "0", 1),
            (('He said " no.',), "1", 2),
        ],
        "dev": [(("Who did you see?",), "1", 0), (("Who did you saw him?",), "0", 1)],
        "test": [(("The boys was here.",), None, "0"), (('The girl sang "la la.',), None, "1")],
    },
    "SST": {
        "train": [
            (("a warm and funny film ",), "1", 0),
            (('two hours of " nothing ',), "0", 1),
        ],
        "dev": [(("you will laugh . ",), "1", 0), (("a waste of good actors . ",), "0", 1)],
        "test": [(("never dull .",), None, "0"), (("the plot limps .",), None, "1")],
    },
    "MNLI": {
        "train": [
            (("The old clock stopped.", "The clock works."), "contradiction", "0"),
            (("The inn has ten rooms.", 'The inn is "cheap.'), "neutral", "1"),
            (("It is a small red car.", "It is a car."), "entailment", "2"),
        ],
        "dev_matched": [
            (("She closed the door.", "The door is closed."), "entailment", "0"),
            (("He may come.", "He will come."), "neutral", "1"),
        ],
        "dev_mismatched": [
            (("We thank you for the gift.", "We got no gift."), "contradiction", "0"),
        ],
        "test_matched": [
            (("Nobody spoke.", "It was quiet."), None, "0"),
            (("Both left.", "One left."), None, "1"),
        ],
        "test_mismatched": [(("The fee is low.", "The fee is high."), None, "9")],
    },
    "XNLI": {
        "train": [
            (("商店 今天 开门 。", "商店 今天 不 开门 。"), "contradiction", 0),
            (("他 有 两 只 猫 。", '他 有 "宠物 。'), "entailment", 1),
        ],
        "dev": [
            (("他说，我回来了。", "他给妈妈打了电话。"), "neutral", 0),
            (("天很冷。", "天很热。"), "contradiction", 1),
        ],
        "test": [
            (("门是开的。", "门没有关。"), "entailment", 0),
            (("她会来。", "她会迟到。"), "neutral", 1),
        ],
    },
    "LCQMC": {
        "train": [
            (("怎么做面包", "面包怎么做"), "1", 0),
            (('今天"星期几', "明天几号"), "0", 1),
        ],
        "dev": [(("哪里有茶馆", "茶馆在哪里"), "1", 0), (("你叫什么", "你几岁"), "0", 1)],
        "test": [(("天气如何", "天气怎么样"), "1", 0), (("谁画的", "谁写的"), "0", 1)],
    },
    "ChnSentiCorp": {
        "train": [(("房间干净，服务很好。",), "1", 0), (('早餐"很差，又贵。',), "0", 1)],
        "dev": [(("电池很耐用。",), "1", "0"), (("屏幕有坏点。",), "0", "1")],
        "test": [(("书很有意思。",), None, "0"), (("字太小了。",), None, "1")],
    },
}
CASES = [(task, split) for task, splits in EXPECTED.items() for split in splits]


def test_every_task_and_split_has_a_golden_file():
    assert set(EXPECTED) == set(NAMES)
    assert len(NAMES) == 12
    for name, splits in EXPECTED.items():
        assert find(name).splits == tuple(splits)
    assert len(CASES) == 38


@pytest.mark.parametrize(("name", "split"), CASES)
def test_golden_file(name, split, monkeypatch):
    monkeypatch.setenv("GLUE_DIR", str(GOLDEN))
    got = find(name).read(split).examples
    assert [(one.texts, one.label, one.row) for one in got] == EXPECTED[name][split]


def test_label_order_and_metrics_are_those_of_gluonnlp():
    binary, entailment = ("0", "1"), ("not_entailment", "entailment")
    nli = ("neutral", "entailment", "contradiction")
    wanted = {
        "MRPC": (binary, ("accuracy", "f1")),
        "QQP": (binary, ("accuracy", "f1")),
        "QNLI": (entailment, ("accuracy",)),
        "RTE": (entailment, ("accuracy",)),
        "STS-B": (None, ("pearson", "spearman")),
        "CoLA": (binary, ("mcc",)),
        "MNLI": (nli, ("accuracy",)),
        "WNLI": (binary, ("accuracy",)),
        "SST": (binary, ("accuracy",)),
        "XNLI": (nli, ("accuracy",)),
        "LCQMC": (binary, ("accuracy",)),
        "ChnSentiCorp": (binary, ("accuracy",)),
    }
    assert {name: (find(name).labels, find(name).metrics) for name in NAMES} == wanted
    assert find("MNLI").label_id("contradiction") == 2
    assert find("XNLI").label_id("contradictory") == 2
    assert find("STS-B").num_outputs == 1
    assert find("MNLI").num_outputs == 3
    assert all(find(name).help for name in NAMES)


def test_bad_qqp_rows_are_counted_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        got = find("QQP", GOLDEN).read("train")
    file = GOLDEN / "QQP" / "train.tsv"
    assert len(got) == 2
    assert [reason.split(": ")[0] for reason in got.skipped] == [f"{file}:3", f"{file}:4"]
    assert "4 columns instead of 6" in got.skipped[0]
    assert "2 of 4 rows left out" in caplog.text


def test_mnli_rows_without_a_gold_label_are_counted():
    got = find("MNLI", GOLDEN).read("dev_matched")
    assert len(got.skipped) == 1
    assert "dev_matched.tsv:4: no gold label" in got.skipped[0]


def test_both_sst_folders():
    texts = find("SST", GOLDEN / "SST").read("dev").examples[0].texts
    assert texts == ("good fun . ",)
    assert find("sst-2", GOLDEN).read("dev").examples[0].texts == ("you will laugh . ",)


def test_official_xnli_layout_reads_chinese_only(tmp_path):
    task = find("XNLI", GOLDEN / "XNLI-official")
    train = task.read("train").examples
    assert [one.label for one in train] == ["contradiction", "neutral"]
    dev = task.read("dev").examples
    assert [(one.texts, one.label) for one in dev] == [
        (("他说好。", "他很高兴。"), "neutral"),
        (("灯亮着。", "灯灭了。"), "contradiction"),
    ]
    assert [one.label for one in task.read("test").examples] == ["entailment"]
    # Unpacked next to each other, as the archives are.
    (tmp_path / "XNLI-1.0").mkdir()
    for name in ("xnli.dev.tsv", "xnli.test.tsv"):
        (tmp_path / "XNLI-1.0" / name).write_bytes((GOLDEN / "XNLI-official" / name).read_bytes())
    assert len(find("XNLI", tmp_path).read("dev")) == 2


def test_headerless_original_lcqmc(tmp_path):
    (tmp_path / "dev.txt").write_text("你好吗\t你好不好\t1\n", encoding="utf-8")
    assert find("LCQMC", tmp_path).read("dev").examples[0].label == "1"


def test_folder_rules(tmp_path, monkeypatch):
    monkeypatch.delenv("GLUE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue_data").symlink_to(GOLDEN)
    assert len(find("CoLA").read("train")) == 3  # ./glue_data
    other = tmp_path / "other" / "CoLA"
    other.mkdir(parents=True)
    (other / "train.tsv").write_text("a\t1\t\tFine.\n")
    monkeypatch.setenv("GLUE_DIR", str(other.parent))
    assert len(find("CoLA").read("train")) == 1  # $GLUE_DIR goes first
    assert len(find("CoLA", GOLDEN / "CoLA").read("train")) == 3  # the folder given, itself
    assert len(find("CoLA").read("train", GOLDEN)) == 3  # or its parent
    assert not find("CoLA").has("test")
    assert find("CoLA", GOLDEN).has("test")
    with pytest.raises(DataError, match=r"no file for the split 'dev' of CoLA\. Expected: dev.tsv"):
        find("CoLA").read("dev")
    with pytest.raises(DataError, match=r"holds no files of CoLA"):
        find("CoLA", tmp_path / "nowhere").read("dev")
    with pytest.raises(UnknownNameError, match="no split of MNLI is named 'dev'"):
        find("MNLI", GOLDEN).read("dev")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"index\tquestion\tsentence\tlabel\n0\ta\tb\n", r"dev\.tsv:2: 3 columns; 4 are expected"),
        (b"index\tquestion\tsentence\n0\ta\tb\n", r"dev\.tsv:1: 3 columns; 4 .* in the header"),
        (
            b"index\tquestion\tsentence\tlabel\n0\ta\tb\tentailmnt\n",
            r"dev\.tsv:2: the label 'entailmnt' is not one of: .*Did you mean 'entailment'\?",
        ),
        (b"", r"dev\.tsv: is empty"),
        (b"index\tquestion\tsentence\tlabel\n", "holds no example"),
        (b"index\tquestion\tsentence\tlabel\n0\ta\0\tb\tentailment\n", r"dev\.tsv:2: .*NUL"),
        (b"index\tquestion\tsentence\tlabel\n0\ta\xff\tb\tentailment\n", r"dev\.tsv:2: .*UTF-8"),
    ],
)
def test_bad_files(tmp_path, content, message):
    (tmp_path / "dev.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        find("QNLI", tmp_path).read("dev")


def test_bad_score(tmp_path):
    row = "0\tg\tf\ty\to\ts\ts\ta\tb\t"
    for score in ("nan", "good", "inf"):
        (tmp_path / "dev.tsv").write_text("\t".join("abcdefghij") + f"\n{row}{score}\n")
        with pytest.raises(DataError, match=rf"dev\.tsv:2: the label '{score}' is not a number"):
            find("STS-B", tmp_path).read("dev")


def test_real_files_of_the_repository():
    counts = {
        ("STS-B", "train"): 1000,
        ("STS-B", "dev"): 750,
        ("STS-B", "test"): 629,
        ("QNLI", "train"): 400,
        ("QNLI", "dev"): 200,
    }
    for (name, split), count in counts.items():
        got = find(name, DATA / "glue_data").read(split)
        assert len(got) == count
        assert not got.skipped
    assert not find("QNLI", DATA / "glue_data").has("test")
    scores = [float(one.label) for one in find("STS-B", DATA / "glue_data").read("dev").examples]
    assert 0 == min(scores) < max(scores) == 5
    train, dev = (
        find("QNLI", DATA / "glue_data").read(split).examples for split in ("train", "dev")
    )
    assert not {text for one in train for text in one.texts} & {
        text for one in dev for text in one.texts
    }
