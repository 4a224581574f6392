"""Export to a SavedModel, for TensorFlow and TensorFlow Serving."""
