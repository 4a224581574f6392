r"""Fine-tune BERT to find the answers to questions in texts: SQuAD 1.1, 2.0, and files like them.

Your own questions, in SQuAD's JSON:

    python scripts/bert/finetune_squad.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.json --predict_file dev.json --epochs 2 --lr 3e-5

SQuAD itself, from $SQUAD_DIR, ./squad, ~/.mxnet/datasets/squad or the datasets library:

    python scripts/bert/finetune_squad.py --optimizer adam --batch_size 12 --lr 3e-5 --epochs 2

SQuAD 2.0, where a question may have no answer; scores and answers of a trained model:

    python scripts/bert/finetune_squad.py --version_2 --accumulate 2 --batch_size 6 --lr 3e-5
    python scripts/bert/finetune_squad.py --only_predict --model_parameters runs/squad/best \
        --predict_file dev.json --output_dir runs/again

Writes into --output_dir: best and last (model folders), state-STEP (what --resume needs),
predictions.json, nbest_predictions.json (with --version_2 also null_odds.json, na_probs.json and
raw_predictions.json), eval_results.json, metrics.jsonl and log.txt. --predict_file is answered at
the end; --dev_file, or that file if it has the right answers, chooses the best model and the
threshold of SQuAD 2.0. Next: scripts/bert/predict_squad.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from plainbert.cli import values
from plainbert.cli.settings import accepted, option
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.flag_tables import WINDOW, helped
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.older_training import OlderTrainingFlags
from plainbert.recipes.shared.question_files import QuestionFilesFlags
from plainbert.recipes.shared.results import Trained, report_trained
from plainbert.tasks.squad.flags import (
    DEBUG_EVAL,
    DEBUG_TRAIN,
    ScoringFlags,
    SearchFlags,
)

if TYPE_CHECKING:
    from pathlib import Path

    from plainbert.recipes.shared.finetuning import Session
    from plainbert.tasks.squad.data import Question, Squad
    from plainbert.tasks.squad.windows import Limits, Windows

NAME = "finetune_squad"
MODELS = ("model_dir", "model_parameters")


@dataclass(frozen=True, kw_only=True)
class Settings(OlderTrainingFlags, QuestionFilesFlags, ScoringFlags, SearchFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "questions": ("train_file", "dev_file", "predict_file", "version_2"),
        "what people set": ("model_dir", "epochs", "batch_size", "lr", "optimizer", "max_len",
                            "doc_stride", "max_answer_length", "gpu", "seed"),
        "output": ("output_dir", "resume", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "train_file": "SQuAD's own, from --data_dir or downloaded",
        "dev_file": "--predict_file, if it has answers",
        "predict_file": "SQuAD's dev set, where there is no --train_file either",
        "model_dir": "the size that --bert_model names, downloaded",
    }

    sentencepiece: str | None = None
    max_len: int = helped("max_len", WINDOW, 384)
    weight_decay: float = 0.0
    log_interval: int = 50
    doc_stride: int = 128
    max_query_length: int = 64
    n_best_size: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float = 0.0
    uncased: bool = option(
        False,
        None,
        "Lower-case, for a vocabulary that does not say; the same as --do_lower_case true.",
        group="model",
    )
    cache_dir: str | None = option(
        None,
        values.path,
        "Where the windows of the questions are kept; OUTPUT_DIR/cache when not given.",
        group="data",
        metavar="DIR",
    )
    debug: bool = option(
        False,
        None,
        f"A quick look: train on {DEBUG_TRAIN} rows, predict {DEBUG_EVAL}; without files, "
        "both of the dev set.",
        group="training",
    )
    comm_backend: str | None = accepted(
        str,
        "--num_local_ranks, torchrun and mpirun start several processes.",
        "several processes",
        "NAME",
    )

    def checked(self) -> Self:
        settings = super().checked()
        if self.uncased:
            if self.do_lower_case is False:
                self.refuse("--uncased and --do_lower_case false exclude each other: give one.")
            settings = dataclasses.replace(settings, do_lower_case=True).noted(
                "--uncased lower-cases. (GluonNLP's script did the opposite: there it switched "
                "lower-casing off.)"
            )
        if self.debug:
            settings = dataclasses.replace(
                settings,
                max_train_samples=self.max_train_samples or DEBUG_TRAIN,
                max_eval_samples=self.max_eval_samples or DEBUG_EVAL,
            )
        if settings.only_inference and not self.typed.intersection(MODELS):
            self.refuse(
                "--only_inference needs a trained model: --model_parameters or --model_dir."
            )
        for name in (*MODELS, "pretrained_bert_parameters"):
            self.exclusive("sentencepiece", name)
        self.needs("null_score_diff_threshold", "version_2")
        self.check_lengths(self.max_len)
        return settings


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def training_set(settings: Settings) -> Squad:
    """The questions to train on; with ``--debug`` and without a file, those of the dev set."""
    from plainbert.tasks.squad.files import read
    from plainbert.tasks.squad.find import find

    if settings.train_file is not None:
        questions = read(settings.train_file, training=True)
    else:
        split = "dev" if settings.debug else "train"
        questions = find(split, settings.version_2, settings.data_dir)
    return questions.first(settings.max_train_samples)


def sets_to_answer(settings: Settings) -> dict[str, Squad]:
    """The questions to answer, by split: "dev" chooses the model, the last one's answers are kept.

    They are those of ``--dev_file`` and ``--predict_file``, of which one alone is "dev"; SQuAD's
    dev set when nothing is given. With ``--train_file`` alone there are none.
    """
    from plainbert.tasks.squad.files import read
    from plainbert.tasks.squad.find import find

    paths = [path for path in (settings.dev_file, settings.predict_file) if path is not None]
    if paths:
        sets = [read(path) for path in paths]
    elif settings.train_file is not None and not settings.only_inference:
        sets = []
    else:
        sets = [find("dev", settings.version_2, settings.data_dir)]
    firsts = (questions.first(settings.max_eval_samples) for questions in sets)
    return dict(zip(("dev", "predict"), firsts, strict=False))


def limits_of(settings: Settings, max_len: int) -> Limits:
    """How windows are cut; a question takes at most half of one, where nothing else is typed."""
    from plainbert.tasks.squad.windows import Limits

    query = settings.max_query_length
    if "max_query_length" not in settings.typed:
        query = min(query, max_len // 2)
    return Limits(max_len, settings.doc_stride, query)


def draw_untrained(settings: Settings, job: Session) -> Path:
    """Draw the model that ``--sentencepiece`` asks for; its folder, on every rank."""
    from plainbert import checkpoint, model_zoo
    from plainbert.nn.headed import Headed
    from plainbert.text.sentencepiece import SentencePiece
    from plainbert.train.run_folder import UNTRAINED

    folder = job.folder / UNTRAINED
    assert settings.sentencepiece is not None
    if job.first and not (job.settings.resume and folder.exists()):
        tokenizer = SentencePiece(settings.sentencepiece, lower=settings.do_lower_case is not False)
        model: Headed = model_zoo.new_model(
            settings.bert_model, tokenizer, "question_answering", **settings.config_changes
        )
        checkpoint.write(folder, model, tokenizer)
    job.group.barrier()
    return folder


def run(settings: Settings) -> Trained:
    """Train, where there is anything to train on, and answer and score every split."""
    from plainbert.batching.features import check_positions
    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.squad import cache, evaluate
    from plainbert.tasks.squad.decode import Search
    from plainbert.tasks.squad.predict import THRESHOLD

    # Before the run folder is touched: a file that cannot be used must not leave one behind.
    train = None if settings.only_inference else training_set(settings)
    sets = sets_to_answer(settings)
    with session(settings, NAME) as job:
        for questions in (*([train] if train else ()), *sets.values()):
            questions.report()
        untrained = None
        if settings.sentencepiece is not None:
            untrained = draw_untrained(settings, job)
        opened = job.open("question_answering", untrained=untrained)
        model, typed = opened.headed, THRESHOLD in settings.typed
        limits = limits_of(settings, job.max_len(model))
        check_positions(limits.max_len, model.config.max_position_embeddings)

        # A trained model knows its threshold for "no answer"; a typed one wins.
        threshold = settings.null_score_diff_threshold
        if not job.trains and not typed:
            threshold = opened.checkpoint.about.get(THRESHOLD, threshold)
        search = Search(
            settings.n_best_size, settings.max_answer_length, settings.version_2, threshold
        )

        def cut(name: str, questions: list[Question], labelled: bool = False) -> Windows:
            windows = cache.windows(
                settings.cache_dir or job.folder / "cache",
                opened.tokenizer,
                questions,
                limits,
                labelled=labelled,
                num_workers=settings.num_workers,
                bar=job.first,
                group=job.group,
            )
            if job.first:
                windows.report(name)
            return windows

        prepared = {
            split: evaluate.SquadSplit.of(
                questions, cut(split, questions.questions), settings.scoring
            )
            for split, questions in sets.items()
        }
        chosen = None
        if train is not None:
            # Only right answers can choose the best checkpoint.
            dev = {
                split: part
                for split, part in prepared.items()
                if split == "dev" and part.scored(settings.version_2)
            }
            model, chosen = job.train(
                opened,
                cut("train", train.trainable(settings.version_2), labelled=True).features,
                evaluate.SquadEvaluation(dev, search, job.ready.dtype, job.ranks) if dev else None,
                about={
                    "task": "squad",
                    "max_length": limits.max_len,
                    "doc_stride": limits.doc_stride,
                    "max_query_length": limits.max_query_length,
                    "version_2": settings.version_2,
                },
            )
        scores = evaluate.evaluate_splits(
            model,
            prepared,
            search,
            job.ready.dtype,
            job.folder,
            tune=job.trains and not typed,
            ranks=job.sharing,
        )
        # The threshold that is best on the dev set goes with the model.
        if chosen is not None and job.first and settings.version_2:
            best = scores.get("dev", {}).get("best_f1_thresh", threshold)
            evaluate.store_threshold(chosen, threshold if typed else best)
        return job.results(scores, chosen)


def report(results: Trained) -> None:
    """Print the scores and what comes next."""
    report_trained(results, "predict_squad", "--question ... --context ...")


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """The command: parse, run, report."""
    return command.carry_out(NAME, argv, parse_args, run, report).scores
