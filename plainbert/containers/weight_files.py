"""What files of weights are called in a model folder."""

from __future__ import annotations

SAFETENSORS = "model.safetensors"
PYTORCH = "pytorch_model.bin"  # of torch.save

INDEX = ".index.json"  # after the name of weights in several files: the table of those files
# In the order of preference: the first that is there counts.
WEIGHT_FILES = (SAFETENSORS, f"{SAFETENSORS}{INDEX}", PYTORCH, f"{PYTORCH}{INDEX}")
