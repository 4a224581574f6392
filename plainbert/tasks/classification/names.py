"""The names of the published tasks, for parsers: standard library only, cheap to import."""

from __future__ import annotations

import re

from plainbert.errors import UnknownNameError

DESCRIPTIONS = {
    "MRPC": "are two news sentences paraphrases (GLUE)",
    "QQP": "do two Quora questions ask the same (GLUE)",
    "QNLI": "does the sentence answer the question (GLUE)",
    "RTE": "does one sentence follow from the other (GLUE)",
    "STS-B": "how similar are two sentences, 0 to 5 (GLUE, regression)",
    "CoLA": "is the sentence grammatical (GLUE)",
    "MNLI": "entailment, neutral or contradiction; two dev and two test sets (GLUE)",
    "WNLI": "is the pronoun read rightly (GLUE)",
    "SST": "is a phrase of a film review positive; GLUE's SST-2",
    "XNLI": "MNLI in Chinese; use a Chinese or multilingual vocabulary",
    "LCQMC": "do two Chinese questions mean the same",
    "ChnSentiCorp": "is a Chinese review positive",
}
NAMES = tuple(DESCRIPTIONS)

# Further spellings; case, hyphens, blanks and underscores never matter.
ALIASES = {"sst2": "SST", "sts": "STS-B", "xnlizh": "XNLI", "chnsenti": "ChnSentiCorp"}

HELP = (
    "a published task ("
    + ", ".join(NAMES)
    + "; case and hyphens do not matter), read from the folder given, $GLUE_DIR or ./glue_data, "
    "else through the 'datasets' library; or a class of your own: path/to/my.py:MyTask"
)


def canonical(name: str) -> str:
    """The registered spelling of a task name.

    Raises:
        UnknownNameError: no published task has that name.

    Example:
        >>> canonical("sst-2"), canonical("stsb"), canonical("cola")
        ('SST', 'STS-B', 'CoLA')
    """
    folded = _fold(name)
    by_folded = {_fold(known): known for known in NAMES} | ALIASES
    if folded not in by_folded:
        raise UnknownNameError(
            "task", name, NAMES, "Or give path/to/my.py:MyTask for a class of your own."
        )
    return by_folded[folded]


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()
