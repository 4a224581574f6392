"""Two models on the same text, output by output: both of ours, or one run by another engine."""
