"""Read files that plainbert wrote with real MXNet and GluonNLP; write what they make of them.

python read_there.py FOLDER_WITH_INPUTS_NPZ
"""

import glob
import os
import sys

import gluonnlp
import mxnet as mx
import numpy as np
from nets import make, run

folder = sys.argv[1]
data = dict(np.load(f"{folder}/inputs.npz"))
outputs = {}
for path in sorted(glob.glob(f"{folder}/*/model.params")):
    case = os.path.basename(os.path.dirname(path))
    name = case.split("-")[0]
    net = make(name)
    net.load_parameters(path)
    for row, array in enumerate(run(net, name, data)):
        outputs[f"{case}/{row}"] = array
    net.save_parameters(os.path.join(os.path.dirname(path), "again"))
np.savez(f"{folder}/outputs.npz", **outputs)

for path in glob.glob(f"{folder}/arrays_*.params"):
    loaded = mx.nd.load(path)
    np.savez(path.replace(".params", ".npz"), **{k: v.asnumpy() for k, v in loaded.items()})

for path in glob.glob(f"{folder}/*.vocab"):
    with open(path) as file:
        vocab = gluonnlp.vocab.BERTVocab.from_json(file.read())
    with open(path + ".again", "w") as file:
        file.write(vocab.to_json())
