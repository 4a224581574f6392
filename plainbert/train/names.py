"""Choices by name, for parsers: standard library only, cheap to import."""

from __future__ import annotations

OPTIMIZERS = {
    "bertadam": "Adam without bias correction, decoupled weight decay; GluonNLP's and Google's",
    "adamw": "Adam with bias correction, decoupled weight decay (Loshchilov & Hutter 2019)",
    "adam": "Adam as published (Kingma & Ba 2015); weight decay is added to the gradient",
    "lamb": "Adam whose update is scaled to each matrix's norm (You et al. 2020)",
    "sgd": "plain gradient descent; weight decay is added to the gradient",
}

SCHEDULES = {
    "linear": "warm-up, then a line from the peak down to end_lr; GluonNLP's fine-tuning scripts",
    "google": "warm-up, then the line that would have started at step 0: jumps when warm-up ends",
    "polynomial": "TensorFlow's polynomial_decay with power, end and cycles, after a warm-up",
    "cosine": "warm-up, then a cosine down to end_lr",
    "constant": "warm-up, then the peak",
}

# How ranks share a step; the first is the default.
DIST_STRATEGIES = ("ddp", "zero1", "fsdp", "hsdp")

# What gradients are sent as.
GRAD_COMPRESSIONS = ("none", "fp16", "bf16")
