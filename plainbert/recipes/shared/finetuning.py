"""What the fine-tune scripts share: one body around each script's own data and scores.

::

    with session(args, __file__, argv) as run:
        opened = run.open("classification", labels)
        features = ...
        if run.trains:
            model, chosen = run.train(opened, features, evaluation, about={"task": "MRPC"})
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plainbert import model_zoo
from plainbert.batching.batch import Examples
from plainbert.batching.features import Features
from plainbert.distributed.group import Group
from plainbert.infer.evaluation import Evaluation
from plainbert.nn.headed import Headed
from plainbert.recipes.shared.models import name_of, open_model
from plainbert.recipes.shared.ranks import join, restarted
from plainbert.recipes.shared.settings import settings_of
from plainbert.recipes.shared.start import Run, start
from plainbert.train.loop import fit
from plainbert.train.parallel.choose import choose_strategy
from plainbert.train.parallel.strategy import ParallelStrategy


class Session:
    """One run of a fine-tune script, as one of its ranks sees it.

    Args:
        args: parsed flags.
        ready: device, number format, folder, log.
        group: the ranks.

    Attributes:
        trains: whether there is training to do.
        folder: the run folder.
        first: whether this rank speaks and writes.
        ranks: how the ranks share training steps.
        sharing: how they share the rows of a set to score, with a model that each holds whole.
    """

    def __init__(self, args: argparse.Namespace, ready: Run, group: Group) -> None:
        assert ready.folder is not None
        self.args, self.ready, self.group, self.folder = args, ready, group, ready.folder
        self.trains = not args.only_inference
        self.first = group.rank == 0
        self.ranks: ParallelStrategy = choose_strategy(
            args.dist_strategy, group, args.grad_compression
        )
        self.sharing: ParallelStrategy = choose_strategy("ddp", group)

    def open(self, head: str, labels: Sequence[str] | None = None) -> model_zoo.LoadedModel:
        """The model that the flags name, on its device; fresh head weights where it may lack them.

        Args:
            head: a name of :data:`plainbert.nn.names.HEADS`.
            labels: of the classes.
        """
        opened = open_model(self.args, head, labels, trained=not self.trains)
        opened.headed.to(self.ready.device)
        return opened

    def max_len(self, model: Headed) -> int:
        """Tokens of an input at most: what was typed, else the default, if the model has them."""
        most = model.config.max_position_embeddings
        given: int = self.args.max_len
        return given if "max_len" in self.args.given else min(given, most)

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
            labels: as for :meth:`open`.

        Returns:
            the model, on its device, and its folder.
        """
        result = fit(
            opened.headed,
            opened.tokenizer,
            Examples(features),
            settings_of(self.args, self.ready.dtype),
            evaluation=evaluation,
            folder=self.folder,
            resume=self.args.resume,
            about={**about, "base": name_of(self.args)},
            ranks=self.ranks,
        )
        chosen = self.folder / ("best" if result.best is not None else "last")
        self.ready.log.info(
            "the %s checkpoint is of step %d", chosen.name, result.best_step or result.steps
        )
        again = model_zoo.open_folder(chosen, opened.headed.head, labels)
        return again.headed.to(self.ready.device), chosen

    def next(self, chosen: Path, script: str, words: str) -> None:
        """Export the model, if it is asked for; print where it is and the command that uses it."""
        if self.args.export is not None:
            from plainbert.recipes.shared.exporting import export_trained

            place = self.folder / f"export-{self.args.export}"
            export_trained(chosen, self.args.export, place)
            print(f"export: {place}")
        print(f"model: {chosen}")
        print(f"next: python scripts/bert/{script} --model_dir {chosen} {words}")


@contextlib.contextmanager
def session(args: argparse.Namespace, script: str, argv: Sequence[str] | None) -> Iterator[Session]:
    """Join the ranks, prepare log and folder; what the block does ends with the ranks' good-bye.

    Args:
        args: parsed; among them those of :func:`plainbert.recipes.shared.flags.add_training`.
        script: path of the script.
        argv: its words; ``sys.argv[1:]`` when None.
    """
    with join(args, script, argv) as group:
        restarted(args, group)
        if args.export is not None:  # found out now, not after hours of training
            from plainbert.export.formats import with_defaults

            with_defaults(args.export).require()
        trains = not args.only_inference
        with start(args, new_run=trains, group=group, script=script) as ready:
            yield Session(args, ready, group)
