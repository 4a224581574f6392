"""What a data set is: examples, labels, splits, scores. Never imports torch."""
