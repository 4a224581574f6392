"""Read checkpoints with TensorFlow in every way that people do.

Usage: read.py PREFIX OUT.npz [PREFIX OUT.npz ...]
"""

import sys

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def plain(value):
    """A value that numpy can store."""
    value = np.asarray(value)
    return value.astype(np.float32) if value.dtype == tf.bfloat16.as_numpy_dtype else value


def read(prefix):
    """Values by name, equal in three ways: reader, init_from_checkpoint, Saver."""
    listed = dict(tf.train.list_variables(prefix))
    reader = tf.train.load_checkpoint(prefix)
    types = reader.get_variable_to_dtype_map()
    values = {name: reader.get_tensor(name) for name in listed}
    for name, value in values.items():
        assert list(np.shape(value)) == list(listed[name]), name
    for initialize in (True, False):
        with tf.Graph().as_default(), v1.Session() as session:
            made = {
                name: v1.get_variable(name, shape, types[name], v1.zeros_initializer())
                for name, shape in listed.items()
            }
            if initialize:
                v1.train.init_from_checkpoint(prefix, {name: name for name in made})
                session.run(v1.global_variables_initializer())
            else:
                v1.train.Saver().restore(session, prefix)
            for name, value in session.run(made).items():
                assert np.asarray(value).tobytes() == np.asarray(values[name]).tobytes(), name
    return {name: plain(value) for name, value in values.items()}


for prefix, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    np.savez(out, **read(prefix))
    print("read", prefix, flush=True)
