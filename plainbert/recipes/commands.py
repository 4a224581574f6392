"""The commands, a line each. Free of torch."""

from __future__ import annotations

# In the order in which one comes to need them.
GROUPS = {
    "begin": {
        "quickstart": "sentence vectors, then a spam filter trained on real messages",
        "embedding": "vectors of words, or of whole texts",
    },
    "train": {
        "finetune_classifier": "train a classifier of texts or pairs, or a regression",
        "finetune_squad": "train a model that finds answers in texts",
        "finetune_ner": "train a tagger of words: entities, punctuation ...",
    },
    "use what was trained": {
        "predict_classifier": "a label and probabilities for every text",
        "predict_squad": "answers to questions",
        "predict_ner": "entities, or a label for every word",
        "evaluate": "scores of any fine-tuned model on a labelled file",
    },
    "train on raw text": {
        "create_pretraining_data": "raw text to shards for pre-training",
        "run_pretraining": "pre-train a BERT, from nothing or from weights",
        "create_punctuation_data": "training data for punctuation from any text",
    },
    "other systems and runtimes": {
        "convert_checkpoint": "between GluonNLP, TensorFlow and Hugging Face files",
        "compare_checkpoints": "two checkpoints on the same text, layer by layer",
        "export": "a model for ONNX, SavedModel, MXNet or torch.export",
    },
    "several processes": {
        "launch": "start a command as several processes, on one host or more",
    },
}
SUMMARIES = {name: summary for group in GROUPS.values() for name, summary in group.items()}
