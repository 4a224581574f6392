"""Examples to features to packed batches, and the order they are seen in."""
