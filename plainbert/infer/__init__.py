"""Running a trained model: prepared kernels, pooling, encode and predict."""
