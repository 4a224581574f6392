"""Make checkpoints with TensorFlow, one folder per kind, each with its values beside it.

Usage: write.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
FOLDER = Path(sys.argv[1])
RNG = np.random.default_rng(0)
D, F, V, P, LAYERS = 12, 48, 40, 16, 2


def variable(name, *shape, dtype=np.float32, **keywords):
    values = tf.constant(RNG.standard_normal(shape).astype(dtype))
    return v1.get_variable(name, initializer=values, **keywords)


def dense(name, rows, columns):
    with v1.variable_scope(name):
        variable("kernel", rows, columns)
        variable("bias", columns)


def norm(name):
    with v1.variable_scope(f"{name}/LayerNorm".strip("/")):
        variable("gamma", D)
        variable("beta", D)


def body():
    """The variables of Google's BERT."""
    with v1.variable_scope("bert"):
        with v1.variable_scope("embeddings"):
            variable("word_embeddings", V, D)
            variable("position_embeddings", P, D)
            variable("token_type_embeddings", 2, D)
            norm("")
        for layer in range(LAYERS):
            with v1.variable_scope(f"encoder/layer_{layer}"):
                for part in ("query", "key", "value"):
                    dense(f"attention/self/{part}", D, D)
                dense("attention/output/dense", D, D)
                norm("attention/output")
                dense("intermediate/dense", D, F)
                dense("output/dense", F, D)
                norm("output")
        dense("pooler/dense", D, D)


def heads():
    with v1.variable_scope("cls/predictions"):
        variable("output_bias", V)
        dense("transform/dense", D, D)
        norm("transform")
    output("cls/seq_relationship/", 2)


def output(scope, classes):
    variable(scope + "output_weights", classes, D)
    variable(scope + "output_bias", classes)


def adam():
    """Train one step with TensorFlow's own Adam, so that its slots are there."""
    step = v1.train.get_or_create_global_step()
    loss = tf.add_n([tf.reduce_sum(tf.square(each)) for each in v1.trainable_variables()])
    return v1.train.AdamOptimizer(1e-3).minimize(loss, global_step=step)


def save(name, *steps, train=None, saver=None):
    """Save all variables to ``FOLDER/name``; their values, as they come back, to ``name.npz``."""
    (FOLDER / name).mkdir()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(**(saver or {}))
        for step in steps or (None,):
            if train is not None:
                session.run(train)
            saver.save(session, str(FOLDER / name / "model.ckpt"), global_step=step)
        prefix = v1.train.latest_checkpoint(str(FOLDER / name))
    values(name, prefix)


def values(name, prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    found = {}
    for key in reader.get_variable_to_shape_map():
        value = np.asarray(reader.get_tensor(key))
        if value.dtype == tf.bfloat16.as_numpy_dtype:
            value = value.astype(np.float32)
        if value.dtype.kind not in "OS":
            found[key] = value
    np.savez(FOLDER / f"{name}.npz", **found)


def pretraining():
    body()
    heads()
    save("pretraining", 5, 20, 100, train=adam())


def classifier():
    body()
    output("", 3)
    save("classifier", 7)


def scoped():
    body()
    output("output/", 4)
    save("scoped", 7)


def regression():
    body()
    output("", 1)
    save("regression", 7)


def squad():
    body()
    output("cls/squad/", 2)
    save("squad", 7)


def sharded():
    """Variables on two jobs: the saver writes a data file for each."""
    with v1.device("/cpu:0"):
        body()
        heads()
    save("sharded", saver={"sharded": True})
    split(FOLDER / "sharded" / "model.ckpt")


def split(prefix):
    """Spread a checkpoint over three data files, with TensorFlow's own merge of three parts."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = sorted(reader.get_variable_to_shape_map())
    parts = []
    with v1.Session() as session:
        for number in range(3):
            part = f"{prefix}_part{number}"
            chosen = names[number::3]
            data = [tf.constant(reader.get_tensor(name)) for name in chosen]
            session.run(
                tf.raw_ops.SaveV2(
                    prefix=part,
                    tensor_names=chosen,
                    shape_and_slices=[""] * len(chosen),
                    tensors=data,
                )
            )
            parts.append(part)
        session.run(
            tf.raw_ops.MergeV2Checkpoints(
                checkpoint_prefixes=parts, destination_prefix=str(prefix), delete_old_dirs=False
            )
        )
    for path in prefix.parent.glob("*_part*"):
        path.unlink()
    for path in prefix.parent.glob("*of-00001"):
        path.unlink()


def partitioned():
    """A large embedding in five parts of unequal size, one kernel divided by columns."""
    for name, shape, parts in (
        ("rows", (300, 8), (5, 1)),
        ("columns", (6, 70), (1, 3)),
        ("one", (7,), (1,)),
        ("deep", (2, 3, 200), (1, 1, 4)),
    ):
        variable(name, *shape, partitioner=lambda shape, dtype, parts=parts: list(parts))
    save("partitioned")


def grid():
    """A tensor that is divided along both dimensions, which get_variable cannot make."""
    (FOLDER / "grid").mkdir()
    whole = RNG.standard_normal((4, 6)).astype(np.float32)
    corners = [(row, column) for row in (0, 2) for column in (0, 3)]
    with v1.Session() as session:
        session.run(
            tf.raw_ops.SaveV2(
                prefix=str(FOLDER / "grid" / "model.ckpt"),
                tensor_names=["both"] * 4,
                shape_and_slices=[f"4 6 {row},2:{column},3" for row, column in corners],
                tensors=[tf.constant(whole[r : r + 2, c : c + 3]) for r, c in corners],
            )
        )


def types():
    kinds = {
        "float32": (3, 5), "float64": (4,), "float16": (2, 3), "int8": (5,), "uint8": (3,),
        "int16": (2, 2), "int32": (), "int64": (1, 1, 1), "uint16": (2,), "uint32": (2,),
        "uint64": (2,), "complex64": (2,), "complex128": (2,),
    }  # fmt: skip
    for name, shape in kinds.items():
        value = (
            (RNG.standard_normal(shape) * 50).astype(name)
            if "uint" not in name
            else (RNG.integers(0, 200, shape).astype(name))
        )
        v1.Variable(value, name=name, dtype=name)
    v1.Variable(tf.constant(RNG.standard_normal((3, 3)), tf.bfloat16), name="bfloat16")
    v1.Variable(np.array([True, False, True]), name="bool")
    v1.Variable(np.zeros((0, 4), np.float32), name="empty")
    save("types")


def strings():
    v1.Variable(np.array(["a", "bcd"]), name="string")
    variable("number", 3)
    save("strings")


def many():
    """Enough long names for several blocks in the index, and for keys that share much."""
    tensors = [tf.constant(np.full((1,), number, np.float32)) for number in range(10000)]
    rows = range(10000)
    names = sorted(f"scope_{row % 7}/" + "x" * (row % 90) + f"/{row}" for row in rows)
    (FOLDER / "many").mkdir()
    prefix = str(FOLDER / "many" / "model.ckpt")
    with v1.Session() as session:
        session.run(
            tf.raw_ops.SaveV2(
                prefix=prefix, tensor_names=names, shape_and_slices=[""] * 10000, tensors=tensors
            )
        )
    values("many", prefix)


def old():
    """The format of before 0.12: one file."""
    variable("bert/embeddings/word_embeddings", V, D)
    (FOLDER / "old").mkdir()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1)
        saver.save(session, str(FOLDER / "old" / "model.ckpt"))


def objects():
    """Object-based checkpoints: once with names of another model, once with Google's."""
    reader = tf.train.load_checkpoint(str(FOLDER / "pretraining" / "model.ckpt-100"))
    keys = [key for key in reader.get_variable_to_shape_map() if key.startswith("bert/")]
    for name, root in (("objects", "layer"), ("named", "bert")):
        held = {
            key.replace("bert/", f"{root}/"): tf.Variable(reader.get_tensor(key))
            for key in keys if "Adam" not in key
        }  # fmt: skip
        saved = tf.train.Checkpoint(**held).save(str(FOLDER / name / "ckpt"))
        values(name, saved)


CASES = (
    pretraining, classifier, scoped, regression, squad, sharded, partitioned, grid, types, strings,
    many, old,
)  # fmt: skip
for case in CASES:
    with tf.Graph().as_default():
        case()
objects()
