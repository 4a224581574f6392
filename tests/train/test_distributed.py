"""However a run is shared, its weights end the same; the oracle is the run of one process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plainbert.dist.group import Group
from plainbert.dist.world import World
from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.buckets import split
from plainbert.train.distributed import ranks_for, shares
from plainbert.train.ranks import ALONE

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).with_name("together.py")
spec = importlib.util.spec_from_file_location("together", PROGRAM)
together = importlib.util.module_from_spec(spec)
sys.modules["together"] = together  # dataclasses look there
spec.loader.exec_module(together)
