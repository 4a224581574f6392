from __future__ import annotations

import subprocess
import sys

import pytest

from plainbert.errors import UnknownNameError
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.names import HELP, NAMES, canonical


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("SST-2", "SST"),
        ("sst2", "SST"),
        ("SST", "SST"),
        ("stsb", "STS-B"),
        ("STS_B", "STS-B"),
        ("sts-b", "STS-B"),
        ("cola", "CoLA"),
        ("mrpc", "MRPC"),
        ("chnsenticorp", "ChnSentiCorp"),
        *((name, name) for name in NAMES),
    ],
)
def test_forgiving_names(given, name):
    assert canonical(given) == name
    assert find(given).name == name


def test_unknown_name_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no task is named 'MNRPC'\. Did you mean 'MRPC'\?"):
        find("MNRPC")
    with pytest.raises(UnknownNameError, match=r"my\.py:MyTask"):
        find("nothing like it")


def test_tasks_are_separate():
    first = find("MRPC", "here")
    assert find("MRPC").folder is None
    assert str(first.folder) == "here"


def test_import_is_light():
    """Neither torch nor numpy: parsers and the whole of tasks stay cheap."""
    code = (
        "import sys, plainbert.tasks.classification.names as names\n"
        "light = {'argparse', 'numpy', 'torch', 'csv', 'json', 'logging'} & set(sys.modules)\n"
        "from plainbert.tasks.classification import find, scores, submission, table\n"
        "find.find('MNLI')\n"
        "heavy = {'numpy', 'torch', 'sklearn', 'scipy', 'datasets'} & set(sys.modules)\n"
        "print(sorted(light), sorted(heavy))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[] []\n"


def test_help_lists_every_task():
    assert all(name in HELP for name in NAMES)
    assert "my.py:MyTask" in HELP
