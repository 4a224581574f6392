"""The files of questions that are learned from and answered. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plainbert.errors import PlainBertError
from plainbert.recipes.shared import before
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.settings import CommonFlags

FORM = "SQuAD's JSON, .gz and .xz too"


@dataclass(frozen=True, kw_only=True)
class QuestionFilesFlags(CommonFlags):
    """Questions to learn from, to choose the best model by, and to answer."""

    data_dir: str | None = helped(
        "data_dir",
        "Folder that holds train-v1.1.json, dev-v1.1.json (or -v2.0); else $SQUAD_DIR, ./squad, "
        "~/.mxnet/datasets/squad.",
        None,
    )
    train_file: str | None = helped(
        "train_file", f"Questions to learn from, with their answers: {FORM}.", None
    )
    dev_file: str | None = helped(
        "dev_file",
        "Questions with answers that choose the best model and the threshold of SQuAD 2.0: "
        f"{FORM}.",
        None,
    )
    predict_file: str | None = helped(
        "predict_file",
        f"Questions to answer at the end; scored if they have answers: {FORM}.",
        None,
    )

    def problems(self) -> Iterator[PlainBertError]:
        yield from super().problems()
        yield from before.text_problems(self.train_file, self.dev_file, self.predict_file)
