"""Files of questions: what is in them, and what happens to what is wrong."""

from __future__ import annotations

import codecs
import gzip
import json
import logging
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.errors import DataError
from plainbert.tasks.squad import data as squad
from plainbert.tasks.squad.data import NOWHERE, GoldAnswer, Question, Squad, locate
from plainbert.tasks.squad.files import read

HERE = Path(__file__).resolve().parents[2]
FIXTURES = HERE / "fixtures" / "squad"


def entry(**values: Any) -> dict[str, Any]:
    answers = [{"text": "cat", "answer_start": 4}]
    return {"id": "q1", "question": "who sat?", "answers": answers, **values}


def written(folder: Path, *qas: dict[str, Any], context: str = "the cat sat") -> Path:
    article = {"title": "t", "paragraphs": [{"context": context, "qas": list(qas)}]}
    path = folder / "some.json"
    path.write_text(json.dumps({"version": "1.1", "data": [article]}))
    return path


def test_real_files() -> None:
    for name, count, impossible in (("dev-v1.1", 47, 0), ("dev-v2.0", 60, 38)):
        found = read(FIXTURES / f"{name}.json")
        assert len(found) == count
        assert sum(each.impossible for each in found.questions) == impossible
        assert not found.problems
        for each in found.questions:
            assert each.impossible == (not each.answers)
            for answer in each.answers:
                assert each.context[answer.start : answer.end] == answer.text
        kept = found.trainable(version_2=True)
        assert len(kept) == count
        assert len(found.trainable(version_2=False)) == count - impossible
    first = read(FIXTURES / "dev-v1.1.json").questions[0]
    assert first.title == "1973_oil_crisis"
    assert first.target == first.answers[0]


def test_answers_that_are_not_where_the_file_says(caplog: pytest.LogCaptureFixture) -> None:
    """Four paragraphs of CMRC 2018 as published."""
    with caplog.at_level(logging.INFO, "plainbert"):
        found = read(FIXTURES / "cmrc2018.json")
        found.report()

    raw = json.loads((FIXTURES / "cmrc2018.json").read_text("utf-8"))
    stated = {
        (qa["id"], answer["text"]): (answer["answer_start"], paragraph["context"])
        for article in raw["data"] for paragraph in article["paragraphs"]
        for qa in paragraph["qas"] for answer in qa["answers"]
    }  # fmt: skip
    lost = moved = 0
    for question in found.questions:
        for answer in question.answers:
            start, context = stated[question.id, answer.text]
            if answer.start == NOWHERE:
                assert answer.text not in context
                lost += 1
            else:
                assert context[answer.start : answer.end] == answer.text
                moved += answer.start != start
    assert (lost, moved) == (4, 7)
    assert {kind: len(lines) for kind, lines in found.problems.items()} == {
        squad.LOST: lost,
        squad.MOVED: moved,
    }
    said = "17 rows (questions) about 4 contexts; 4 answers that are not in their context; "
    assert f"{said}7 answers found" in caplog.text
    assert "question DEV_6_QUERY_2: the answer '2010年是邹游" in caplog.text
    assert "is at 174, not at 175" in caplog.text


@given(st.text("ab", max_size=12), st.text("ab", max_size=3), st.integers(-3, 15))
def test_the_nearest_occurrence_counts(context: str, answer: str, start: int) -> None:
    places = [
        place for place in range(len(context)) if answer and context.startswith(answer, place)
    ]
    if not 0 <= start < len(context):
        right = places[0] if len(places) == 1 else NOWHERE
    else:
        right = min(places, key=lambda place: abs(place - start), default=NOWHERE)

    assert locate(context, answer, start) == right


@pytest.mark.parametrize("packed", ["plain", "bom", "crlf", "gz", "xz"])
def test_dresses_of_a_file(tmp_path: Path, packed: str) -> None:
    right = read(FIXTURES / "dev-v2.0.json").questions
    data = (FIXTURES / "dev-v2.0.json").read_bytes()
    if packed == "bom":
        data = codecs.BOM_UTF8 + data
    elif packed == "crlf":
        data = data.replace(b"\n", b"\r\n")
    elif packed in ("gz", "xz"):
        data = {"gz": gzip, "xz": lzma}[packed].compress(data)
    path = tmp_path / ("x.json" + (f".{packed}" if packed in ("gz", "xz") else ""))
    path.write_bytes(data)

    assert read(path).questions == right


def test_other_shapes_of_answers(tmp_path: Path) -> None:
    lists = {"text": ["cat", "the cat"], "answer_start": [4, 0]}
    found = read(
        written(
            tmp_path,
            entry(answers=lists),
            entry(id=7, answers=[{"text": "sat"}]),
            entry(id="no", answers=[]),
            entry(id="said", is_impossible=True, answers=[]),
            {"id": "hidden", "question": "?"},
        )
    ).questions

    assert found[0].answers == (GoldAnswer("cat", 4), GoldAnswer("the cat", 0))
    assert (found[1].id, found[1].answers) == ("7", (GoldAnswer("sat", 8),))
    assert [each.impossible for each in found] == [False, False, True, True, False]
    assert found[4].target is None


def test_a_bare_list_of_articles(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(json.loads(written(tmp_path, entry()).read_text())["data"]))

    assert read(path).questions[0].context == "the cat sat"


def test_what_cannot_be_trained_on_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(
        tmp_path,
        entry(),
        entry(id="q2", answers=[{"text": "dog", "answer_start": 4}]),
        entry(id="q3", answers=[]),
        entry(id="q4", question=" "),
        {"id": "q5", "question": "?"},
    )
    with caplog.at_level(logging.INFO, "plainbert"):
        found = read(path)
        assert [each.id for each in found.trainable(False)] == ["q1", "q4"]
        assert [each.id for each in found.trainable(True)] == ["q1", "q3", "q4"]

    assert found.problems.keys() == {squad.LOST, squad.EMPTY_QUESTION, squad.UNKNOWN}
    assert "2 rows are not trained on: their answer is not in the context" in caplog.text
    assert (
        "1 rows are not trained on: they have no answer (finetune_squad.py --version_2"
        in caplog.text
    )
    assert found.problems[squad.LOST] == [
        f"{path}: question q2: the answer 'dog' is not in the context"
    ]


def test_an_empty_context_is_reported_and_kept_for_prediction(tmp_path: Path) -> None:
    found = read(written(tmp_path, entry(), context=" \n"))

    assert len(found) == 1
    assert squad.EMPTY_CONTEXT in found.problems
    with pytest.raises(DataError, match="no question that can be trained on"):
        found.trainable(True)


def test_ids_that_occur_twice(tmp_path: Path) -> None:
    path = written(tmp_path, entry(), entry(question="again?"))
    with pytest.raises(DataError, match="two questions have the id 'q1'"):
        read(path)
    found = read(path, training=True)

    assert len(found) == 2
    assert len(found.problems[squad.TWICE]) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"id": None}, r"data\[0\].paragraphs\[0\].qas\[0\]: 'id' is None"),
        ({"question": 3}, "question q1: 'question' is 3"),
        ({"answers": "cat"}, "question q1: 'answers' is a str"),
        ({"answers": ["cat"]}, "question q1, answers is a str; an object with 'text'"),
        ({"answers": [{"answer_start": 3}]}, "question q1, answers has no 'text'"),
        ({"answers": [{"text": "a", "answer_start": "4"}]}, "'answer_start' is '4'"),
        ({"answers": {"text": ["a"], "answer_start": []}}, "1 texts of answers, 0 places"),
        ({"is_impossible": "yes"}, "is_impossible is 'yes'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_fields_that_are_wrong_name_the_question(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(written(tmp_path, entry(**values)))


@pytest.mark.parametrize("key", ["id", "question"])
def test_fields_that_lack_name_the_question(tmp_path: Path, key: str) -> None:
    values = entry()
    del values[key]
    with pytest.raises(DataError, match=rf"qas\[0\].* has no '{key}'; it has: "):
        read(written(tmp_path, values))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"data": [\n {"title" "x"}]}',
            r"some.json:2: is not JSON: Expecting ':' delimiter "
            r"\(column 11, character 21 of the file, near '.*title",
        ),
        ("", "some.json:1: is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 5000, "is not JSON"),
        ('"text"', "holds a JSON str"),
        ("{}", "has no 'data'"),
        ('{"data": []}', "holds no question"),
        ('{"data": [7]}', r"data\[0\] is a int"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', r"paragraphs\[0\] has no 'context'"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', r"paragraphs\[0\] has no 'qas'"),
    ],
    ids=lambda value: value[:20],
)
def test_files_that_are_no_questions(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'{"data": "\xff"}', "is not UTF-8 text .*byte 10"),
        ("a.json.xz", lzma.compress(b"{}" * 1000)[:-20], "cannot be unpacked"),
        ("a.json.gz", gzip.compress(b"{}" * 1000, mtime=0)[:-9], "cannot be unpacked"),
        ("a.json.gz", b"no gzip", "cannot be unpacked"),
    ],
)
def test_bytes_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / name)


def test_the_first_questions_only() -> None:
    some = Squad([Question(str(row), "", "") for row in range(5)])

    assert [each.id for each in some.first(2).questions] == ["0", "1"]
    assert some.first(None) is some


def test_neither_torch_nor_numpy_is_needed() -> None:
    code = (
        "import sys; from plainbert.tasks.squad import find; "
        f"find.read({str(FIXTURES / 'dev-v1.1.json')!r}); "
        "print({'torch', 'numpy', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip

    assert done.stdout.strip() == "set()", done.stderr


def test_flat_files(tmp_path: Path) -> None:
    """What run_qa.py, KorQuAD 2 and simpletransformers read: the same questions."""
    context, question = "A heron\u2028stood in the lake.", "Where?"
    answer = {"text": "in the lake", "answer_start": 14}
    nested = {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": context,
                        "qas": [
                            {"id": f"{row}", "question": question, "answers": [answer]}
                            for row in range(3)
                        ],
                    }
                ],
            }
        ]
    }
    rows = [
        {
            "id": f"{row}",
            "title": "t",
            "context": context,
            "question": question,
            "answers": {"text": [answer["text"]], "answer_start": [14]},
        }
        for row in range(3)
    ]
    paragraphs = [
        {
            "title": "t",
            "context": context,
            "qas": [{"id": row["id"], "question": question, "answers": [answer]}],
        }
        for row in rows
    ]
    forms: dict[str, str] = {
        "squad.json": json.dumps(nested),
        "flat.json": json.dumps({"version": "v", "data": rows}),
        "list.json": json.dumps(rows),
        "korquad.json": json.dumps({"version": "v", "data": paragraphs}),
        "simple.json": json.dumps(paragraphs, ensure_ascii=False),
    }
    for end in ("\n", "\r\n", "\r"):
        for name, entries in (("rows", rows), ("paragraphs", paragraphs)):
            lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
            forms[f"{name}{len(forms)}.jsonl"] = end.join([*lines, "", ""])
    right = None
    for name, text in forms.items():
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (tmp_path / name).write_bytes(text.encode(encoding))
            questions = read(tmp_path / name).questions
            right = right or questions
            assert questions == right, name
    assert right is not None
    assert [(one.id, one.title, one.answers[0].text) for one in right] == [
        (f"{row}", "t", "in the lake") for row in range(3)
    ]
    (tmp_path / "one.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert read(tmp_path / "one.jsonl").questions == right[:1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "1", "question": "q"}\n{"id": "2"}\n', r"data\[0\] has no 'context'"),
        ('{"id": "1", "question": "q", "context": "c"}\n{"id": }\n', r"t\.jsonl:2: is not JSON"),
        ('{"id": "1", "question": "q", "context": "c"}\n\n[1]\n', r"data\[1\] is a list"),
        ('[{"context": "c", "qas": [{"id": "1"}]}]', r"qas\[0\], question 1 has no 'question'"),
        ('{"a": 1} {"b": 2}', "is not JSON: Extra data"),
    ],
)
def test_flat_files_that_lack_something(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "t.jsonl")
