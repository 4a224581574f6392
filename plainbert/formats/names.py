"""The formats by name, without torch."""

from __future__ import annotations

# What convert_checkpoint.py reads and writes, and what the files of each look like.
FORMATS = {
    "huggingface": "config.json, model.safetensors, vocab.txt, tokenizer.json: plainbert's own "
    "folders, transformers, sentence-transformers",
    "pytorch": "bert_config.json, pytorch_model.bin, vocab.txt: pytorch-pretrained-BERT (gamma and "
    "beta in the names, no bert. prefix)",
    "gluonnlp": "NAME.params, NAME.vocab: GluonNLP and MXNet",
    "tensorflow": "bert_config.json, bert_model.ckpt.index and .data-*, vocab.txt: Google",
}
