"""The speed of real GluonNLP 0.10 on MXNet 1.9.1, run by its own interpreter.

``benchmarks/speed/against_mxnet.py`` runs this file; it needs numpy, mxnet and gluonnlp only
(env-mxnet.yml).
Reads the lengths of the sequences from standard input, prints one JSON object. The weights are
random: the speed does not depend on them.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import gluonnlp
import mxnet as mx
import numpy as np
from gluonnlp.model.bert import BERTEncoder, BERTModel
from mxnet import autograd, gluon


class Classifier(gluon.nn.HybridBlock):  # type: ignore[misc]
    """GluonNLP's BERT with a two-class head on the pooled vector, as its scripts have it."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        with self.name_scope():
            self.bert = bert
            self.head = gluon.nn.HybridSequential()
            self.head.add(gluon.nn.Dropout(0.1))
            self.head.add(gluon.nn.Dense(2))

    def hybrid_forward(self, F: Any, ids: Any, types: Any, lengths: Any) -> Any:
        """Logits of a padded batch."""
        _, pooled = self.bert(ids, types, lengths)
        return self.head(pooled)


def build(layers: int, units: int, heads: int) -> Classifier:
    encoder = BERTEncoder(
        num_layers=layers,
        units=units,
        hidden_size=4 * units,
        max_length=512,
        num_heads=heads,
        dropout=0.1,
    )
    bert = BERTModel(
        encoder,
        vocab_size=30522,
        token_type_vocab_size=2,
        units=units,
        embed_size=units,
        use_pooler=True,
        use_decoder=False,
        use_classifier=False,
    )
    net = Classifier(bert)
    net.initialize(mx.init.Normal(0.02))
    net.hybridize(static_alloc=True)
    return net


def batches(lengths: list[int], size: int) -> Iterator[list[Any]]:
    """Batches padded to their longest sequence, in the given order."""
    generator = np.random.RandomState(0)
    for start in range(0, len(lengths), size):
        part = lengths[start : start + size]
        ids = generator.randint(1000, 30000, size=(len(part), max(part)))
        labels = generator.randint(0, 2, size=len(part))
        arrays = (ids, np.zeros_like(ids), np.array(part), labels)
        yield [mx.nd.array(array, dtype="float32") for array in arrays]


def main() -> None:
    job = json.load(sys.stdin)
    net = build(*job["sizes"])
    trainer = gluon.Trainer(net.collect_params(), "bertadam", {"learning_rate": 1e-5})
    loss = gluon.loss.SoftmaxCELoss()
    todo = list(batches(job["lengths"], job["batch"]))
    for _turn in range(2):  # the first pass builds the graphs for each shape
        start = time.time()
        for ids, types, lengths, _ in todo:
            net(ids, types, lengths).wait_to_read()
        inference = time.time() - start
    params = [value for value in net.collect_params().values() if value.grad_req != "null"]
    for _turn in range(2):
        start = time.time()
        for ids, types, lengths, labels in todo:
            with autograd.record():
                mean = loss(net(ids, types, lengths), labels).mean()
            mean.backward()
            gluonnlp.utils.clip_grad_global_norm(params, 1)
            trainer.update(1)
            mean.wait_to_read()
        mx.nd.waitall()
        training = time.time() - start
    print(
        json.dumps(
            {
                "inference_seconds": inference,
                "training_seconds": training,
                "mxnet": mx.__version__,
                "gluonnlp": gluonnlp.__version__,
                "numpy": np.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
