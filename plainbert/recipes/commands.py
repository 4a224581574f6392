"""The commands, a line each. Free of torch."""

from __future__ import annotations

SUMMARIES = {
    "quickstart": "sentence vectors, then a spam filter trained on real messages",
    "embedding": "vectors of words, or of whole texts",
    "finetune_classifier": "train a classifier of texts or pairs, or a regression",
    "finetune_squad": "train a model that finds answers in texts",
    "finetune_ner": "train a tagger of words: entities, punctuation ...",
    "predict_classifier": "a label and probabilities for every text",
    "predict_squad": "answers to questions",
    "predict_ner": "entities, or a label for every word",
    "evaluate": "scores of any fine-tuned model on a labelled file",
    "create_pretraining_data": "raw text to shards for pre-training",
    "run_pretraining": "pre-train a BERT, from nothing or from weights",
    "create_punctuation_data": "training data for punctuation from any text",
    "convert_checkpoint": "between GluonNLP, TensorFlow and Hugging Face files",
    "compare_checkpoints": "two checkpoints on the same text, layer by layer",
    "export": "a model for ONNX, SavedModel, MXNet or torch.export",
    "launch": "start a command as several processes, on one host or more",
}
