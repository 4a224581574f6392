r"""Fine-tune BERT to find entities, or to give every word of a sentence a label.

CoNLL files: a word a line, its tag in the last column, an empty line after each sentence:

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.conll \
        --dev-path dev.conll --test-path test.conll --output_dir runs/ner

Remarks ("# id 1", "#begin document") are left out, and a first column that only counts the words;
--word_column and --tag_column choose others, by number or by name.

Labels of any kind (parts of speech, punctuation): a sentence a line, its words between blanks, a
tab, as many labels between blanks:

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.tsv \
        --dev-path dev.tsv --output_dir runs/punctuation

A published BERT; a run that was interrupted; scores of a trained model:

    python scripts/bert/finetune_ner.py --bert-model bert_24_1024_16 --train-path train.txt \
        --dev-path dev.txt --test-path test.txt --gpu 0 --learning-rate 1e-5 --batch-size 8
    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.conll \
        --dev-path dev.conll --output_dir runs/ner --resume
    python scripts/bert/finetune_ner.py --model_parameters runs/ner/best --only_inference \
        --test-path test.conll --output_dir runs/ner

Tags may be IOB1, IOB2 or BIOES. Writes into --output_dir: best and last (model folders, the tags
in their config.json), state-STEP (what --resume needs), eval_results.json, report.json (scores by
type), dev and test predictions in the form of their file, metrics.jsonl, log.txt. Next:
scripts/bert/predict_ner.py.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from plainbert.cli import values
from plainbert.cli.settings import option
from plainbert.recipes.shared import before, command, flags
from plainbert.recipes.shared.flag_tables import WINDOW, helped
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.older_training import OlderTrainingFlags
from plainbert.recipes.shared.results import Trained, report_trained
from plainbert.tasks.ner.flags import TagFlags

if TYPE_CHECKING:
    from plainbert.errors import PlainBertError
    from plainbert.tasks.ner.conll import Sentences

NAME = "finetune_ner"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(OlderTrainingFlags, TagFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required": ("train_file",),
        "what people set": (
            "model_dir", "dev_file", "test_file", "word_column", "tag_column", "tag_scheme",
            "epochs", "batch_size", "lr", "max_len", "optimizer", "gpu", "seed",
        ),
        "output": ("output_dir", "resume", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "train_file": "required, but for --only_inference",
        "model_dir": "the size that --bert_model names, downloaded",
        "dev_file": "none: no scores, and the last epoch's model",
        "test_file": "none",
        "tag_scheme": "the model's, if it has tags, else iob2",
    }

    cased: bool = option(
        True,
        values.true_or_false,
        "Whether the published model is the cased one.",
        group="model",
        metavar="{true,false}",
        nargs="?",
        const=True,
    )
    save_checkpoint_prefix: str | None = option(
        None, values.path, "GluonNLP's name of --output_dir.", group="output", metavar="DIR"
    )
    max_len: int = helped("max_len", WINDOW, 180)
    metric: str | None = None
    bert_dataset: str = "book_corpus_wiki_en_cased"
    epochs: int = 4
    weight_decay: float = 0.0

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("output_dir", "save_checkpoint_prefix")
        self.exclusive("cased", "bert_dataset", "do_lower_case")
        if not settings.only_inference and self.train_file is None:
            self.refuse("--train-path is missing; --only_inference evaluates without training.")
        if settings.only_inference and self.dev_file is None and self.test_file is None:
            self.refuse("nothing to evaluate: give --dev-path or --test-path.")
        if self.save_checkpoint_prefix is not None:
            settings = dataclasses.replace(
                settings,
                output_dir=self.save_checkpoint_prefix,
                typed=self.typed | {"output_dir"},
            )
        if "cased" in self.typed:
            # The data set says it of a published model; weights of one's own may not.
            settings = dataclasses.replace(
                settings,
                bert_dataset=f"book_corpus_wiki_en_{'cased' if self.cased else 'uncased'}",
                do_lower_case=None if self.weights is None else not self.cased,
            )
        if "num_workers" in self.typed:
            settings = settings.noted(
                "--num_workers changes nothing: each distinct word is tokenised once, which is "
                "quick."
            )
        return settings

    def problems(self) -> Iterator[PlainBertError]:
        from plainbert.tasks.ner import scores

        yield from super().problems()
        yield from before.raised(scores.require)
        yield from before.text_problems(self.train_file, self.dev_file, self.test_file)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def scheme_of(settings: Settings) -> str:
    """The scheme to learn. Of few sentences IOB2 is learned better: it has half as many tags."""
    from plainbert.model_zoo import labels_of
    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.ner.tags import TagSet

    if settings.tag_scheme is not None:
        return settings.tag_scheme
    # Of a tagger that is trained further.
    before = TagSet.trained(labels_of(name_of(settings)) or ())
    return before.scheme if before.entities else "iob2"


def run(settings: Settings) -> Trained:
    """Train, where there is anything to train on, and score and tag every split."""
    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.ner import evaluate
    from plainbert.tasks.ner.scores import require
    from plainbert.tasks.ner.tags import TagSet

    require()

    # Before the run folder is touched: a wrong line must not leave one behind.
    train, tags = None, None
    if not settings.only_inference:
        assert settings.train_file is not None
        train = evaluate.read(
            settings.train_file, settings.max_train_samples, columns=settings.columns
        )
        tags = TagSet.of(train, scheme_of(settings))
    # Files to score are read as the training file turned out to be.
    form = train.form if train else None
    paths = {"dev": settings.dev_file, "test": settings.test_file}
    sets = {
        split: evaluate.read(
            path, settings.max_eval_samples, form, split == "dev", settings.columns
        )
        for split, path in paths.items()
        if path is not None
    }
    with session(settings, NAME) as job:
        for number, sentences in enumerate((*([train] if train else ()), *sets.values())):
            evaluate.describe(sentences, example=number == 0)
        opened = job.open("token_classification", tags.labels if tags else None)
        model, max_len = opened.headed, job.max_len(opened.headed)
        if tags is None:
            # Without training the tags and the length are the model's.
            about = opened.checkpoint.about
            tags = TagSet.trained(model.config.id2label or (), about.get("tag_scheme"))
            if "max_len" not in settings.typed:
                max_len = opened.checkpoint.max_length or max_len
        log.info("%d tags (%s): %s", len(tags.labels), tags.scheme, " ".join(tags.labels))

        def load(split: str, part: Sentences) -> evaluate.TaggedSplit:
            positions = opened.headed.config.max_position_embeddings
            return evaluate.prepare_split(part, split, opened.tokenizer, tags, max_len, positions)

        data = {split: load(split, part) for split, part in sets.items()}
        chosen = None
        if train is not None:
            dev = {split: part for split, part in data.items() if split == "dev"}
            evaluation = None
            if dev:
                evaluation = evaluate.TagEvaluation(
                    dev, tags, job.ready.dtype, job.ranks, settings.metric
                )
            model, chosen = job.train(
                opened,
                load("train", train).words.features,
                evaluation,
                about={"task": "tagging", "max_length": max_len, "tag_scheme": tags.scheme},
                labels=tags.labels,
            )
        scores = evaluate.evaluate_splits(
            model, data, tags, job.ready.dtype, job.folder, job.sharing
        )
        return job.results(scores, chosen)


def report(results: Trained) -> None:
    """Print the scores and what comes next."""
    report_trained(results, "predict_ner", "--sentences ...")


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """The command: parse, run, report."""
    return command.carry_out(NAME, argv, parse_args, run, report).scores
