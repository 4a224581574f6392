"""Write files of every layout with real MXNet and GluonNLP, and what their nets compute.

python write_there.py FOLDER_WITH_INPUTS_NPZ
"""

import collections
import sys

import gluonnlp
import mxnet as mx
import numpy as np
from nets import CLASSES, make, run

folder = sys.argv[1]
data = dict(np.load(f"{folder}/inputs.npz"))
mx.random.seed(5)
outputs = {}
for name in ("bert", "encoder", *CLASSES):
    net = make(name)
    net.initialize(mx.init.Normal(0.2))
    net.hybridize()
    run(net, name, data)
    for parameter in net.collect_params().values():
        noise = mx.nd.random.normal(scale=0.2, shape=parameter.shape)
        parameter.set_data(noise + (1 if parameter.name.endswith("gamma") else 0))
    for row, array in enumerate(run(net, name, data)):
        outputs[f"{name}/{row}"] = array
    net.save_parameters(f"{folder}/{name}_plain.params")
    net.save_parameters(f"{folder}/{name}_once.params", deduplicate=True)
    net.collect_params().save(f"{folder}/{name}_flat.params")
    net.export(f"{folder}/{name}_export")  # NAME-symbol.json, NAME-0000.params
np.savez(f"{folder}/outputs.npz", **outputs)

arrays = {}
for kind in ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"):
    arrays[kind] = mx.nd.array(np.arange(-6, 6).reshape(3, 4), dtype=kind)
arrays["row_sparse"] = arrays["float32"].tostype("row_sparse")
arrays["csr"] = mx.nd.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]]).tostype("csr")
arrays["no rows"] = mx.nd.sparse.zeros("row_sparse", (4, 3))
arrays["no values"] = mx.nd.sparse.zeros("csr", (4, 3))
mx.nd.waitall()  # save writes the size of a sparse array before it waits for its values
mx.nd.save(f"{folder}/arrays.params", arrays)
mx.nd.save(f"{folder}/list.params", list(arrays.values()))
np.savez(f"{folder}/arrays.npz", **{name: array.asnumpy() for name, array in arrays.items()})

words = ["the", "##s", "Ärger", "中", "a b", "zebra", "apple"]
vocab = gluonnlp.vocab.BERTVocab(collections.Counter(words + words[:3]))
with open(f"{folder}/counted.vocab", "w") as file:
    file.write(vocab.to_json())

mx.npx.set_np()
mx.npx.save(
    f"{folder}/v3.params",
    {
        "matrix": mx.np.array([[1.5, -2.0]]),
        "scalar": mx.np.array(7.0),
        "empty": mx.np.zeros((0, 3)),
        "whole": mx.np.array([1, 2], dtype="int64"),
    },
)
