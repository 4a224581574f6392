"""Programs for other runtimes, such as MXNet or TensorFlow, in a Python that has them."""
