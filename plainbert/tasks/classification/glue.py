"""The GLUE tasks, in the layouts of its download script and with GluonNLP's label order.

Source:
    GluonNLP v0.10 scripts/bert/data/classification.py (label order, columns); Wang et al. 2018
    (arXiv:1804.07461) and gluebenchmark.com (files, metrics, names of submission files).
"""

from __future__ import annotations

from plainbert.tasks.classification.hub_sets import HubSet
from plainbert.tasks.classification.published import PublishedTask, SplitFile, TableLayout

HUB = "nyu-mll/glue"
PAIR = ("sentence1", "sentence2")
ENTAILMENT = ("not_entailment", "entailment")
NLI = ("neutral", "entailment", "contradiction")


def _files(train: TableLayout, test: TableLayout) -> dict[str, tuple[SplitFile, ...]]:
    return {
        "train": (SplitFile("train.tsv", (train,)),),
        "dev": (SplitFile("dev.tsv", (train,)),),
        "test": (SplitFile("test.tsv", (test,)),),
    }


# Header "index ...", two texts, label: QNLI (both versions), RTE and WNLI.
_INDEXED = _files(
    TableLayout(4, texts=(1, 2), label=3, row=0),
    TableLayout(3, texts=(1, 2), row=0),
)

MRPC = PublishedTask(
    "MRPC",
    labels=("0", "1"),
    metrics=("accuracy", "f1"),
    text_names=PAIR,
    sources=_files(
        TableLayout(5, texts=(3, 4), label=0),
        TableLayout(5, texts=(3, 4), row=0),
    ),
    hub=HubSet(HUB, "mrpc", PAIR, names={"not_equivalent": "0", "equivalent": "1"}),
)

QQP = PublishedTask(
    "QQP",
    labels=("0", "1"),
    metrics=("accuracy", "f1"),
    text_names=("question1", "question2"),
    sources=_files(
        # Some published rows lost their columns to line breaks inside a question.
        TableLayout(6, texts=(3, 4), label=5, row=0, drop_bad=True),
        TableLayout(3, texts=(1, 2), row=0),
    ),
    hub=HubSet(
        HUB,
        "qqp",
        ("question1", "question2"),
        names={"not_duplicate": "0", "duplicate": "1"},
    ),
)

QNLI = PublishedTask(
    "QNLI",
    labels=ENTAILMENT,
    metrics=("accuracy",),
    text_names=("question", "sentence"),
    sources=_INDEXED,
    hub=HubSet(HUB, "qnli", ("question", "sentence")),
    folders=("QNLI", "QNLIv2"),
)

RTE = PublishedTask(
    "RTE",
    labels=ENTAILMENT,
    metrics=("accuracy",),
    text_names=PAIR,
    sources=_INDEXED,
    hub=HubSet(HUB, "rte", PAIR),
)

WNLI = PublishedTask(
    "WNLI",
    labels=("0", "1"),
    metrics=("accuracy",),
    text_names=PAIR,
    sources=_INDEXED,
    hub=HubSet(HUB, "wnli", PAIR, names={"not_entailment": "0", "entailment": "1"}),
)

STS_B = PublishedTask(
    "STS-B",
    labels=None,
    metrics=("pearson", "spearman"),
    text_names=PAIR,
    sources=_files(
        TableLayout(10, texts=(7, 8), label=9, row=0),
        TableLayout(9, texts=(7, 8), row=0),
    ),
    hub=HubSet(HUB, "stsb", PAIR),
)

COLA = PublishedTask(
    "CoLA",
    labels=("0", "1"),
    metrics=("mcc",),
    text_names=("sentence",),
    sources=_files(
        TableLayout(4, texts=(3,), label=1, header=False),
        TableLayout(2, texts=(1,), row=0),
    ),
    hub=HubSet(HUB, "cola", ("sentence",), names={"unacceptable": "0", "acceptable": "1"}),
)

SST = PublishedTask(
    "SST",
    labels=("0", "1"),
    metrics=("accuracy",),
    text_names=("sentence",),
    sources=_files(
        TableLayout(2, texts=(0,), label=1),
        TableLayout(2, texts=(1,), row=0),
    ),
    hub=HubSet(HUB, "sst2", ("sentence",), names={"negative": "0", "positive": "1"}),
    folders=("SST-2", "SST"),
    submissions={"test": "SST-2.tsv"},
)

# "-" stands where the annotators did not agree; GLUE's own files have no such row.
# Fewer annotators in the training file: its gold label is column 11, not 15.
_MNLI_TRAIN = TableLayout(12, texts=(8, 9), label=11, row=0, unlabelled=("-",))
_MNLI_DEV = TableLayout(16, texts=(8, 9), label=15, row=0, unlabelled=("-",))
_MNLI_TEST = TableLayout(10, texts=(8, 9), row=0)

MNLI = PublishedTask(
    "MNLI",
    labels=NLI,
    metrics=("accuracy",),
    text_names=("premise", "hypothesis"),
    sources={
        "train": (SplitFile("train.tsv", (_MNLI_TRAIN,)),),
        "dev_matched": (SplitFile("dev_matched.tsv", (_MNLI_DEV,)),),
        "dev_mismatched": (SplitFile("dev_mismatched.tsv", (_MNLI_DEV,)),),
        "test_matched": (SplitFile("test_matched.tsv", (_MNLI_TEST,)),),
        "test_mismatched": (SplitFile("test_mismatched.tsv", (_MNLI_TEST,)),),
    },
    hub=HubSet(
        HUB,
        "mnli",
        ("premise", "hypothesis"),
        splits={
            "train": "train",
            "dev_matched": "validation_matched",
            "dev_mismatched": "validation_mismatched",
            "test_matched": "test_matched",
            "test_mismatched": "test_mismatched",
        },
    ),
    submissions={"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
)

TASKS = (MRPC, QQP, QNLI, RTE, STS_B, COLA, MNLI, WNLI, SST)
