"""Fine-tuning from Python: what callers hold becomes the files and flags of a recipe."""
