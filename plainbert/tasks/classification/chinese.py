"""The Chinese tasks: Baidu's ``task_data`` files, and XNLI as its authors publish it.

Source:
    GluonNLP v0.10 scripts/bert/data/baidu_ernie_data.py; Conneau et al. 2018 (arXiv:1809.05053)
    and google-research/bert, run_classifier.py, XnliProcessor (the official files).
"""

from __future__ import annotations

from plainbert.tasks.classification.glue import NLI
from plainbert.tasks.classification.hub_sets import HubSet
from plainbert.tasks.classification.published import PublishedTask, SplitFile, TableLayout

PREMISE = ("premise", "hypothesis")

# Baidu's files differ in their header over the years; the columns do not. The last layout of a
# list holds for files without a header.
_PAIR = tuple(
    TableLayout(3, texts=(0, 1), label=2, header=header)
    for header in (
        ("text_a", "text_b", "label"),
        ("premise", "hypo", "label"),
        ("premise", "hypothesis", "label"),
        ("sentence1", "sentence2", "label"),
        False,
    )
)
_HIDDEN_PAIR = (TableLayout(3, texts=(1, 2), row=0, header=("qid", "text_a", "text_b")),)
_ONE = (
    TableLayout(3, texts=(2,), label=1, row=0, header=("qid", "label", "text_a")),
    TableLayout(2, texts=(1,), label=0, header=("label", "text_a")),
    TableLayout(2, texts=(1,), label=0, header=False),
)
_HIDDEN_ONE = (TableLayout(2, texts=(1,), row=0, header=("qid", "text_a")),)
# xnli.dev.tsv and xnli.test.tsv hold fifteen languages, with the parses and five votes.
_OFFICIAL = (TableLayout(19, texts=(6, 7), label=1, row=9, language=(0, "zh"), unlabelled=("-",)),)

XNLI = PublishedTask(
    "XNLI",
    labels=NLI,
    metrics=("accuracy",),
    text_names=PREMISE,
    sources={
        "train": (
            SplitFile("train.tsv", _PAIR),
            SplitFile("multinli/multinli.train.zh.tsv", _PAIR),
            SplitFile("XNLI-MT-1.0/multinli/multinli.train.zh.tsv", _PAIR),
            SplitFile("multinli.train.zh.tsv", _PAIR),
        ),
        "dev": (
            SplitFile("dev.tsv", _PAIR),
            SplitFile("xnli.dev.tsv", _OFFICIAL),
            SplitFile("XNLI-1.0/xnli.dev.tsv", _OFFICIAL),
        ),
        "test": (
            SplitFile("test.tsv", _HIDDEN_PAIR + _PAIR),
            SplitFile("xnli.test.tsv", _OFFICIAL),
            SplitFile("XNLI-1.0/xnli.test.tsv", _OFFICIAL),
        ),
    },
    hub=HubSet("facebook/xnli", "zh", PREMISE, row=None),
    folders=("XNLI", "xnli", "task_data/xnli"),
    aliases={"contradictory": "contradiction"},  # the machine-translated training files
)

LCQMC = PublishedTask(
    "LCQMC",
    labels=("0", "1"),
    metrics=("accuracy",),
    text_names=("question1", "question2"),
    sources={
        "train": (SplitFile("train.tsv", _PAIR), SplitFile("train.txt", _PAIR)),
        "dev": (SplitFile("dev.tsv", _PAIR), SplitFile("dev.txt", _PAIR)),
        "test": (SplitFile("test.tsv", _HIDDEN_PAIR + _PAIR), SplitFile("test.txt", _PAIR)),
    },
    hub=HubSet("C-MTEB/LCQMC", None, ("sentence1", "sentence2"), label="score", row=None),
    folders=("LCQMC", "lcqmc", "task_data/lcqmc"),
)

CHNSENTICORP = PublishedTask(
    "ChnSentiCorp",
    labels=("0", "1"),
    metrics=("accuracy",),
    text_names=("text",),
    sources={
        "train": (SplitFile("train.tsv", _ONE),),
        "dev": (SplitFile("dev.tsv", _ONE),),
        "test": (SplitFile("test.tsv", _HIDDEN_ONE + _ONE),),
    },
    hub=HubSet(
        "lansinuote/ChnSentiCorp",
        None,
        ("text",),
        names={"negative": "0", "positive": "1"},
        row=None,
    ),
    folders=("ChnSentiCorp", "chnsenticorp", "task_data/chnsenticorp"),
)

TASKS = (XNLI, LCQMC, CHNSENTICORP)
