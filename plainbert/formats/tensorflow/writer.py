"""Write Google's layout: ``bert_model.ckpt``, ``bert_config.json``, ``vocab.txt``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert import files
from plainbert.config import BertConfig
from plainbert.formats.tensorflow.bundle_writer import write_bundle
from plainbert.formats.tensorflow.names import Variable, to_google
from plainbert.text.vocab import Vocab

if TYPE_CHECKING:
    from torch import Tensor

# In the order of Google's files.
KEYS = (
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",
    "num_hidden_layers", "type_vocab_size", "vocab_size",
)  # fmt: skip


def write(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: BertConfig,
    tokens: Sequence[str] | None = None,
    lower: bool | None = None,
    name: str = "bert_model.ckpt",
) -> tuple[str, ...]:
    """Write a model as Google's scripts read it.

    Weights are float32, as those scripts expect. They are copied one at a time, so no second copy
    of the model is made. The same model gives the same bytes.

    Args:
        folder: existing.
        tensors: by Hugging Face's names, the body's with ``bert.``.
        config: sizes; for a fine-tuned head its architecture and labels are written too, which
            Google's scripts do not look at.
        tokens: the vocabulary, row by row.
        lower: whether text is lower-cased. Google's folders say so by their name only; it is
            written to ``tokenizer_config.json``, where Hugging Face's tools look.
        name: of the checkpoint.

    Returns:
        names of the tensors that the format has no place for.
    """
    variables = to_google(config.num_hidden_layers)
    chosen = {variables[own_name].google: own_name for own_name in tensors if own_name in variables}
    write_bundle(
        Path(folder) / name, _Google(tensors, {g: variables[h] for g, h in chosen.items()})
    )
    files.write_json(Path(folder) / "bert_config.json", _config(config, chosen.values()))
    if tokens is not None:
        Vocab.from_tokens(tokens).save_txt(Path(folder) / "vocab.txt")
    if lower is not None:
        files.write_json(Path(folder) / "tokenizer_config.json", {"do_lower_case": lower})
    return tuple(own_name for own_name in tensors if own_name not in variables)


class _Google(Mapping[str, "Tensor"]):
    """Tensors by Google's names, each turned and converted when it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], variables: Mapping[str, Variable]) -> None:
        self.tensors = tensors
        self.variables = variables

    def __getitem__(self, name: str) -> Tensor:
        variable = self.variables[name]
        tensor = self.tensors[variable.name].detach().cpu().float()
        return tensor.t() if variable.transposed else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)


def _config(config: BertConfig, chosen: Any) -> dict[str, Any]:
    """Google's keys, then what of ours they leave out."""
    every = config.to_dict()
    values = {key: every[key] for key in KEYS}
    if config.layer_norm_eps != BertConfig.layer_norm_eps:
        values["layer_norm_eps"] = config.layer_norm_eps
    if any(name.startswith(("classifier.", "qa_outputs.")) for name in chosen):
        names = ("architectures", "problem_type", "id2label")
        values |= {key: every[key] for key in names if key in every}
    return values
