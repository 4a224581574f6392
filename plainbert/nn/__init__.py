"""The only model: packed BERT and its heads."""
