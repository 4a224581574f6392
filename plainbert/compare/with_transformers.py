"""Run a checkpoint with Hugging Face's own classes, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from plainbert import checkpoint
from plainbert.compare.batch import PaddedBatch
from plainbert.compare.own import HEAD_OUTPUT, Outputs, layer_name, real_tokens
from plainbert.containers.weight_files import INDEX, SAFETENSORS
from plainbert.errors import CheckpointError, MissingDependencyError
from plainbert.model_zoo import LoadedModel
from plainbert.nn.names import HEADS

# What transformers itself opens; anything else is written anew as such a folder.
WEIGHTS = (SAFETENSORS, f"{SAFETENSORS}{INDEX}")
PER_TOKEN = ("MLM logits", "tag logits")


def folder_for(opened: LoadedModel, scratch: Path) -> Path:
    """A folder that transformers opens: the model's own where it can, else one in ``scratch``."""
    folder = opened.checkpoint.folder
    architecture = HEADS[opened.head].architecture
    same = opened.checkpoint.config.architectures[:1] in ((), (architecture,))
    complete = (folder / "config.json").is_file()
    if same and complete and any((folder / name).is_file() for name in WEIGHTS):
        return folder
    return checkpoint.write(scratch / "model", opened.model, opened.tokenizer)


def run(
    opened: LoadedModel, folder: Path, batches: Sequence[PaddedBatch], dtype: str
) -> Iterator[Outputs]:
    """Outputs of each batch, by the names of :mod:`plainbert.compare.own`.

    Args:
        opened: the model that is compared; only its head's name and sizes are used.
        folder: what transformers opens, as :func:`folder_for` returns it.
        batches: what to run.
        dtype: "float64" or "float32".

    Raises:
        MissingDependencyError: transformers is not installed.
        CheckpointError: transformers finds no weights for part of its model.
    """
    model = open_model(opened, folder).to(getattr(torch, dtype)).eval()
    for batch in batches:
        with torch.inference_mode():
            yield _outputs(model, opened.head, batch)


def open_model(opened: LoadedModel, folder: Path) -> Any:
    """The folder as transformers' class for the head."""
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("transformers", "", "--reference transformers") from None
    quiet = transformers.utils.logging
    before = quiet.get_verbosity()
    quiet.set_verbosity_error()
    # Every weight is checked below; its table of them, and the bar, would only hide our output.
    quiet.disable_progress_bar()
    try:
        kind = getattr(transformers, HEADS[opened.head].architecture)
        more = {} if opened.head != "embedding" else {"add_pooling_layer": _has_pooler(opened)}
        model, info = kind.from_pretrained(
            str(folder),
            output_loading_info=True,
            attn_implementation="eager",
            local_files_only=True,
            **more,
        )
    finally:
        quiet.set_verbosity(before)
        quiet.enable_progress_bar()
    lost = sorted({*map(str, info["missing_keys"]), *map(str, info["mismatched_keys"])})
    if lost:
        raise CheckpointError(
            f"transformers finds no weights in {folder} for {', '.join(lost[:8])}"
            f"{' ...' if len(lost) > 8 else ''}; it would draw them at random."
        )
    return model


def _has_pooler(opened: LoadedModel) -> bool:
    return getattr(opened.model, "pooler", None) is not None


def _outputs(model: Any, head: str, batch: PaddedBatch) -> Outputs:
    inputs = {
        "input_ids": torch.from_numpy(batch.ids),
        "token_type_ids": torch.from_numpy(batch.types),
        "attention_mask": torch.from_numpy(batch.mask).long(),
    }
    body = model if head == "embedding" else model.bert
    output = body(**inputs, output_hidden_states=True)
    outputs: Outputs = {
        layer_name(number): real_tokens(layer.numpy(), batch)
        for number, layer in enumerate(output.hidden_states)
    }
    if output.pooler_output is not None:
        outputs["pooled"] = output.pooler_output.numpy()
    if head == "embedding":
        return outputs
    if head == "multiple_choice":
        inputs = {name: value[:, None] for name, value in inputs.items()}  # (B, 1, L)
    if head == "question_answering":
        return outputs | _span(model, inputs, batch)
    logits = model(**inputs)
    if head == "pretraining":
        named = {
            "MLM logits": logits.prediction_logits,
            "NSP logits": logits.seq_relationship_logits,
        }
    else:
        named = {HEAD_OUTPUT[head]: logits.logits}
    for name, value in named.items():
        outputs[name] = real_tokens(value, batch) if name in PER_TOKEN else value.numpy()
    return outputs


def _span(model: Any, inputs: dict[str, torch.Tensor], batch: PaddedBatch) -> Outputs:
    """Logits and loss of an answer; the loss text by text: theirs counts padding, too."""
    logits = model(**inputs)
    losses = []
    for row, length in enumerate(batch.lengths.tolist()):
        start, end = torch.from_numpy(batch.gold[row])
        alone = {name: value[row : row + 1, :length] for name, value in inputs.items()}
        losses.append(model(**alone, start_positions=start[None], end_positions=end[None]).loss)
    return {
        "start logits": real_tokens(logits.start_logits, batch),
        "end logits": real_tokens(logits.end_logits, batch),
        "loss": torch.stack(losses).numpy(),
    }
