"""What the fine-tune recipes share: one body around each recipe's own data and scores.

::

    with session(settings, "finetune_ner") as session:
        opened = session.open("token_classification", labels)
        features = ...
        if session.trains:
            model, folder = session.train(opened, features, evaluation, about={"task": "tagging"})
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plainbert import files, folders, model_zoo
from plainbert.batching.batch import Examples
from plainbert.batching.features import Features
from plainbert.distributed.group import Group
from plainbert.infer.evaluation import RESULTS_FILE, Evaluation
from plainbert.nn.headed import Headed
from plainbert.recipes.shared.loop_settings import loop_settings
from plainbert.recipes.shared.models import name_of, open_model
from plainbert.recipes.shared.ranks import is_restarted, join
from plainbert.recipes.shared.results import Trained
from plainbert.recipes.shared.start import Run, start
from plainbert.recipes.shared.training_settings import FineTuningFlags
from plainbert.train.loop import fit
from plainbert.train.parallel.choose import choose_strategy
from plainbert.train.parallel.strategy import ParallelStrategy

# What eval_results.json says where it would say nothing.
UNSCORED = "there is no dev set with labels: the last model is kept"
UNLABELLED = "no row to score has a label"


class Session:
    """One run of a fine-tune recipe, as one of its ranks sees it.

    Args:
        settings: of the recipe.
        ready: device, number format, folder, log.
        group: the ranks.

    Attributes:
        trains: whether there is training to do.
        folder: the run folder.
        first: whether this rank writes.
        ranks: how the ranks share training steps.
        sharing: how they share the rows of a set to score, with a model that each holds whole.
    """

    def __init__(self, settings: FineTuningFlags, ready: Run, group: Group) -> None:
        assert ready.folder is not None
        self.settings, self.ready, self.group = settings, ready, group
        self.folder: Path = ready.folder
        self.trains = not settings.only_inference
        self._unscored = False  # whether a model was trained, and nothing could choose the best
        self.first = group.rank == 0
        self.ranks: ParallelStrategy = choose_strategy(
            settings.dist_strategy, group, settings.grad_compression
        )
        self.sharing: ParallelStrategy = choose_strategy("ddp", group)

    def open(
        self,
        head: str,
        labels: Sequence[str] | None = None,
        untrained: Path | None = None,
    ) -> model_zoo.LoadedModel:
        """The model that the flags name, on its device; fresh head weights where it may lack them.

        Args:
            head: a name of :data:`plainbert.nn.names.HEADS`.
            labels: of the classes.
            untrained: folder of a model with random weights, in place of what the flags name.
        """
        if untrained is not None:
            self.settings = dataclasses.replace(
                self.settings, model_dir=str(untrained), do_lower_case=None
            )
        opened = open_model(self.settings, head, labels, trained=not self.trains)
        opened.headed.to(self.ready.device)
        return opened

    def max_len(self, model: Headed) -> int:
        """Tokens of an input at most: what was typed, else the default, if the model has them."""
        most = model.config.max_position_embeddings
        length = self.settings.max_len
        return length if "max_len" in self.settings.typed else min(length, most)

    def train(
        self,
        opened: model_zoo.LoadedModel,
        features: Features,
        evaluation: Evaluation | None,
        *,
        about: dict[str, Any],
        labels: Sequence[str] | None = None,
    ) -> tuple[Headed, Path]:
        """Train, and open the model that came out best.

        Args:
            opened: from :meth:`open`.
            features: the training set, labelled.
            evaluation: scores that choose; without it the last model counts.
            about: for ``plainbert.json``; the model's name is added.
            labels: of the classes, for the model that is opened at the end.

        Returns:
            the model, on its device, and its folder.
        """
        self._unscored = evaluation is None
        if evaluation is None:
            self.ready.log.info("%s; --dev_file lets the best one be chosen.", UNSCORED)
        result = fit(
            opened.headed,
            opened.tokenizer,
            Examples(features),
            loop_settings(self.settings, self.ready.dtype),
            evaluation=evaluation,
            folder=self.folder,
            resume=self.settings.resume,
            about={**about, "base": name_of(self.settings)},
            ranks=self.ranks,
        )
        chosen = self.folder / ("best" if result.best is not None else "last")
        self.ready.log.info(
            "the %s model is of step %d", chosen.name, result.best_step or result.steps
        )
        again = model_zoo.open_folder(chosen, opened.headed.head, labels)
        return again.headed.to(self.ready.device), chosen

    def results(self, scores: dict[str, dict[str, float]], model: Path | None) -> Trained:
        """What the recipe returns; the model is exported, if it is asked for.

        Args:
            scores: split to metric to score.
            model: folder of the best model; None where nothing was trained.
        """
        if self.first and (self._unscored or not scores):
            kept = {"kept": "last", "why": UNSCORED} if self._unscored else {"why": UNLABELLED}
            files.write_json(self.folder / RESULTS_FILE, {**scores, **kept})
        export = None
        if model is not None and self.settings.export is not None and self.first:
            from plainbert.export import bundle
            from plainbert.export.formats import with_defaults
            from plainbert.export.source import source_of

            export = _export_folder(self.settings)
            source = source_of(model_zoo.open_folder(model), str(model))
            bundle.export(source, export, with_defaults(self.settings.export), overwrite=True)
        return Trained(scores, model, export, self.group.rank)


def _export_folder(settings: FineTuningFlags) -> Path:
    assert settings.output_dir is not None
    return Path(settings.output_dir) / f"export-{settings.export}"


@contextlib.contextmanager
def session(settings: FineTuningFlags, recipe: str) -> Iterator[Session]:
    """Join the ranks, prepare log and folder; what the block does ends with the ranks' good-bye.

    Args:
        settings: of the recipe.
        recipe: its name.
    """
    with join(settings) as group:
        assert settings.output_dir is not None
        if is_restarted(group, settings.output_dir):
            settings = dataclasses.replace(settings, resume=True, overwrite=False)
        if settings.export is not None:  # now, not after hours of training
            from plainbert.export import manifest
            from plainbert.export.formats import with_defaults

            with_defaults(settings.export).require()
            place = _export_folder(settings)
            folders.check_replaceable(place, manifest.NAME, manifest.is_export)
        trains = not settings.only_inference
        with start(settings, new_run=trains, group=group, recipe=recipe) as ready:
            yield Session(settings, ready, group)
