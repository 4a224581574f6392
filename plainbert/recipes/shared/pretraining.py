"""What pre-training starts from: a checkpoint or a new model, its vocabulary, and its data."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from plainbert import model_zoo
from plainbert.checkpoint import step_name
from plainbert.corpus import documents
from plainbert.distributed.group import Group
from plainbert.errors import DataError, UsageError
from plainbert.nn.headed import Headed
from plainbert.recipes.shared.loop_settings import loop_settings
from plainbert.recipes.shared.models import name_of
from plainbert.recipes.shared.pretraining_settings import PretrainingSettings
from plainbert.recipes.shared.vocabulary import FLAGS, tokenizer_of
from plainbert.tasks.pretraining import plan, shards
from plainbert.tasks.pretraining.evaluate import SameLength
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.text.reader import read_tokenizer
from plainbert.text.tokenizer import Tokenizer
from plainbert.train import run_folder
from plainbert.train.settings import Settings
from plainbert.visible import near

log = logging.getLogger(__name__)


def from_step(settings: PretrainingSettings) -> tuple[PretrainingSettings, Path | None]:
    """What ``--start_step`` means: our run goes on, or GluonNLP's weights are begun with.

    Args:
        settings: of the recipe.

    Returns:
        the settings, and GluonNLP's file; None where the checkpoint is ours, or none was asked for.

    Raises:
        UsageError: there is neither.
    """
    step = settings.start_step
    if step is None:
        return settings, None
    assert settings.output_dir is not None
    folder = Path(settings.output_dir)
    if (folder / step_name(step)).is_dir():
        if settings.overwrite:
            raise UsageError("--start_step and --overwrite exclude each other: give one of them.")
        return dataclasses.replace(settings, resume=True), None
    old = folder / f"{step:07d}.params"
    if old.is_file():
        return settings, old
    names = [path.name for path in run_folder.checkpoints(folder)] or ["none"]
    raise UsageError(
        f"--start_step {step}: {folder} has no checkpoint of that step (there: "
        f"{', '.join(names)}). Without --start_step a new run begins; --resume goes on from the "
        "newest."
    )


def check_files(settings: PretrainingSettings) -> None:
    """Make sure that the files to train and to score on are there.

    Raises:
        DataError: a pattern matches none.
    """
    for patterns, is_text in (
        (settings.data, settings.raw),
        (settings.data_eval, settings.raw and not settings.eval_use_npz),
    ):
        if patterns:
            (documents.find_files if is_text else shards.matching_files)(patterns)


def open_model(
    settings: PretrainingSettings, folder: Path, old: Path | None
) -> tuple[Headed, Tokenizer]:
    """The model to start from, and its vocabulary.

    Args:
        settings: of the recipe.
        folder: of the run.
        old: GluonNLP's weights to go on from.

    Raises:
        UsageError: there is nothing to evaluate.
    """
    head = "masked_lm" if settings.no_nsp else "pretraining"
    last = folder / "last"
    named = settings.model_dir or settings.pretrained
    if old is not None:
        log.warning(
            "%s has the weights; the optimizer's state beside it is a pickle of MXNet's, which "
            "is not opened: its moments begin at 0.",
            old,
        )
        opened = model_zoo.open_folder(
            old,
            head,
            lower=settings.do_lower_case,
            dataset_name=settings.bert_dataset,
            **settings.config_changes,
        )
    elif named:
        opened = model_zoo.open_folder(
            name_of(settings),
            head,
            fresh_head=settings.trains,
            lower=settings.do_lower_case,
            dataset_name=settings.bert_dataset,
            **settings.config_changes,
        )
    elif settings.trains:
        tokenizer = _new_vocabulary(settings)
        model: Headed = model_zoo.new_model(
            settings.bert_model, tokenizer, head, **settings.config_changes
        )
        return model, tokenizer
    elif last.exists():
        opened = model_zoo.open_folder(last, head, **settings.config_changes)
    else:
        raise UsageError(
            f"{folder} holds no checkpoint to evaluate. Give its folder with --ckpt_dir, or a "
            "model with --model_dir or --pretrained."
        )
    return opened.headed, opened.tokenizer


def _new_vocabulary(settings: PretrainingSettings) -> Tokenizer:
    """Of a model from scratch: what the flags name, else what lies beside the shards."""
    if settings.data and not settings.raw and not settings.typed.intersection(FLAGS):
        folder = shards.matching_files(settings.data)[0].parent
        if any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
            log.info("vocabulary: that of %s", near(folder))
            return read_tokenizer(folder)
    tokenizer = tokenizer_of(settings)
    assert tokenizer is not None
    return tokenizer


class PretrainingData:
    """Where the inputs of a run come from.

    Args:
        settings: of the recipe.
        model: whose positions limit the inputs.
        tokenizer: by which text is cut, and whose vocabulary shards must have.
        group: the ranks; rank 0 tokenises text for all.
        folder: of the run; keeps tokenised text.
    """

    def __init__(
        self,
        settings: PretrainingSettings,
        model: Headed,
        tokenizer: Tokenizer,
        group: Group,
        folder: Path,
    ) -> None:
        self._settings, self._tokenizer, self._group = settings, tokenizer, group
        self._positions = model.config.max_position_embeddings
        self._cache = folder / "raw_cache"

    def training(self) -> Instances:
        """The training set; with ``--dummy_data_len`` inputs of one length, for timing."""
        settings = self._settings
        if settings.dummy_data_len is None:
            assert settings.data is not None
            return self.instances(settings.data)
        masked = max(1, round(settings.masked_lm_prob * settings.dummy_data_len))
        vocabulary = len(self._tokenizer.vocab)
        return Instances(SameLength(settings.dummy_data_len, masked, vocabulary))

    def instances(self, patterns: Sequence[str], evaluation: bool = False) -> Instances:
        """The instances of shards, or of text.

        Args:
            patterns: paths and globs.
            evaluation: whether they are to be scored.

        Raises:
            DataError: there are none.
            UsageError: they are longer than the model's positions.
        """
        settings, vocab = self._settings, self._tokenizer.vocab
        source: shards.Shards | RawText
        if not settings.raw or (evaluation and settings.eval_use_npz):
            source = shards.Shards.open(
                patterns, vocab, settings.verify_shards, settings.skip_bad_shards
            )
        else:
            source = self._raw_text(patterns)
        if len(source.lengths) == 0:
            raise DataError(f"{', '.join(patterns)}: no instances; the text is empty.")
        if (longest := int(source.lengths.max())) > self._positions:
            raise UsageError(
                f"{', '.join(patterns)}: inputs have up to {longest} tokens, and the model has "
                f"{self._positions} positions. Make them with --max_seq_length "
                f"{self._positions}, or take a model with more."
            )
        log.info(
            "%s: %d rows, %.1f tokens each on average",
            "eval" if evaluation else "train",
            len(source.lengths),
            source.lengths.mean(),
        )
        lengths = source.lengths[: settings.max_eval_samples] if evaluation else source.lengths
        key = {"data": source.fingerprint, "raw": settings.raw}
        return Instances(source, lengths, key)

    def _raw_text(self, patterns: Sequence[str]) -> RawText:
        """Text that is masked on the way."""
        settings, group = self._settings, self._group
        masking = plan.InstanceSettings(
            max_seq_length=settings.max_len,
            short_seq_prob=settings.short_seq_prob,
            masked_lm_prob=settings.masked_lm_prob,
            max_predictions_per_seq=settings.max_predictions_per_seq,
            whole_word_mask=settings.whole_word_mask,
            seed=settings.seed,
        )
        if group.rank:  # rank 0 tokenises, the others find its work
            group.barrier()
        source = RawText.of(
            patterns,
            self._tokenizer,
            masking,
            self._cache,
            num_workers=settings.num_workers or 0,
            language=settings.split_sentences,
            bar=group.rank == 0,
        )
        if group.rank == 0:
            group.barrier()
        return source


def loop_settings_of(settings: PretrainingSettings, dtype: torch.dtype, ranks: int) -> Settings:
    """The settings of the training loop.

    Args:
        settings: of the recipe.
        dtype: of the matrix products.
        ranks: among which ``--total_batch_size`` is dealt out.

    Raises:
        UsageError: that does not come out even.
    """
    changes = {}
    if settings.total_batch_size is not None:
        parts = ranks * settings.accumulate
        if settings.total_batch_size % parts:
            raise UsageError(
                f"--total_batch_size {settings.total_batch_size} cannot be dealt out evenly to "
                f"{ranks} rank(s) times --accumulate {settings.accumulate}: a multiple "
                f"of {parts} is expected."
            )
        changes["batch_size"] = settings.total_batch_size // parts
    return loop_settings(settings, dtype, first_step=settings.phase1_num_steps or 0, **changes)
