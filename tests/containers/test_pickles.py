"""Pickles that would run code, or fill the memory: refused, and nothing in them runs."""

from __future__ import annotations

import pickle
import struct
import zipfile

import pytest

from plainbert.containers.torch_files import MAGIC, PROTOCOL, read_torch
from plainbert.errors import FormatError

TOUCH = b"X\x04\x00\x00\x00true"  # a string; as a command it would do no harm
NAME = b"X\x01\x00\x00\x00x"

CODE = {
    "os.system": b"cos\nsystem\n" + TOUCH + b"\x85R",
    "posix.system": b"cposix\nsystem\n" + TOUCH + b"\x85R",
    "builtins.eval": b"cbuiltins\neval\n" + TOUCH + b"\x85R",
    "__builtin__.exec": b"c__builtin__\nexec\n" + TOUCH + b"\x85R",
    "subprocess.Popen": b"csubprocess\nPopen\n" + TOUCH + b"\x85R",
    "stack global": b"\x8c\x02os\x8c\x06system\x93" + TOUCH + b"\x85R",
    "dotted": b"\x8c\x05torch\x8c\x10serialization.os\x93" + TOUCH + b"\x85R",
    "torch.load": b"ctorch.serialization\nload\n" + TOUCH + b"\x85R",
    "load from bytes": b"ctorch.storage\n_load_from_bytes\n" + TOUCH + b"\x85R",
    "torch.hub": b"ctorch.hub\nload\n" + TOUCH + b"\x85R",
    "numpy": b"cnumpy.core.multiarray\n_reconstruct\n" + TOUCH + b"\x85R",
    "getattr": b"cbuiltins\ngetattr\n" + TOUCH + b"\x85R",
    "INST": b"(" + TOUCH + b"ios\nsystem\n",
    "OBJ": b"(cos\nsystem\n" + TOUCH + b"o",
    "NEWOBJ": b"cos\nsystem\n" + TOUCH + b"\x85\x81",
    "extension": b"\x82\x01",
    "persistent line": b"Px\n",
}
GARBLED = {
    "storage called": b"ctorch\nFloatStorage\n)R",
    "tensor of nothing": b"ctorch._utils\n_rebuild_tensor_v2\n)R",
    "parameter of a parameter": b"ctorch._utils\n_rebuild_parameter\n"
    b"ctorch._utils\n_rebuild_parameter\n)R\x85R",
    "ordered with contents": b"ccollections\nOrderedDict\n" + NAME + b"\x85R",
    "call of a string": TOUCH + b")R",
    "far memo": b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff",
    "half a pair": b"X\x03\x00\x00\x00\xed\xa0\x80",
    "persistent string": TOUCH + b"Q",
    "tuple as a key": b"}(" + b"(" * 240_000 + b"t" * 240_000 + b"Nu",
}
HUGE = {
    "marks": b"(" * 600_000,
    "nothings": b"N" * 600_000,
    "deep": b"(" * 300_000 + b"t" * 300_000,
    "repeated": b"(" + b"N" * 1000 + b"tq\x00" + b"h\x00" * 600_000,
}


def entry(value):
    """A pickle of {"x": what the value's instructions make}."""
    return b"\x80\x02}" + NAME + value + b"s."


def write(path, pickled, zipped):
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/data.pkl", pickled)
            archive.writestr("m/version", "3\n")
            archive.writestr("m/data/0", b"\0" * 64)
    else:
        system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
        head = b"".join(pickle.dumps(each, 2) for each in (MAGIC, PROTOCOL, system))
        tail = pickle.dumps(["0"], 2) + struct.pack("<q", 16) + b"\0" * 64
        path.write_bytes(head + pickled + tail)
    return path


LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


@LAYOUTS
@pytest.mark.parametrize("name", CODE)
def test_nothing_is_called(tmp_path, monkeypatch, zipped, name):
    calls = []
    for module, function in (("os", "system"), ("subprocess", "Popen"), ("builtins", "eval")):
        monkeypatch.setattr(f"{module}.{function}", lambda *_: calls.append(1))
    path = write(tmp_path / "x.bin", entry(CODE[name]), zipped)
    with pytest.raises(FormatError, match="could run code; it was not opened"):
        read_torch(path)
    assert not calls


@LAYOUTS
def test_the_traps_work(tmp_path, zipped):
    """Python itself would make the call: the instructions above are whole."""
    value = pickle.loads(entry(b"cbuiltins\nlen\n" + TOUCH + b"\x85R"))
    assert value == {"x": 4}
    path = write(tmp_path / "x.bin", entry(tensor()), zipped)
    assert read_torch(path)["x"].tolist() == [0.0] * 16


@LAYOUTS
@pytest.mark.parametrize("name", GARBLED)
def test_garbled_instructions(tmp_path, zipped, name):
    path = write(tmp_path / "x.bin", entry(GARBLED[name]), zipped)
    with pytest.raises(FormatError):
        read_torch(path)


@LAYOUTS
@pytest.mark.parametrize("name", HUGE)
def test_pickles_that_never_end(tmp_path, zipped, name):
    path = write(tmp_path / "x.bin", entry(HUGE[name]), zipped)
    with pytest.raises(FormatError, match="more than 500000 instructions"):
        read_torch(path)


def integer(value):
    size = max(1, (value.bit_length() + 8) // 8)
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def tensor(numel=16, first=0, size=(16,), stride=(1,), view=b"", function=b"_rebuild_tensor_v2"):
    """Instructions that make a tensor of the 16 floats of storage "0"."""
    whole = [b"(" + b"".join(integer(n) for n in each) + b"t" for each in (size, stride)]
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00"
    storage += b"cpu" + integer(numel) + view + b"tQ"
    return (
        b"ctorch._utils\n"
        + function
        + b"\n("
        + storage
        + integer(first)
        + b"".join(whole)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


@LAYOUTS
@pytest.mark.parametrize(
    "changes",
    [
        {"numel": 10**12},
        {"numel": 2**70},
        {"numel": -1},
        {"first": 1},
        {"first": -1},
        {"first": 10**20},
        {"size": (17,)},
        {"size": (10**12,)},
        {"size": (10**12,), "stride": (0,)},
        {"size": (2**40, 2**40), "stride": (0, 0)},
        {"size": (-1,)},
        {"size": (4, 4), "stride": (1,)},
        {"size": (4,), "stride": (-1,)},
        {"size": (16,), "stride": (10**30,)},
        {"size": (0, 10**30), "stride": (1, 1)},
        {"size": (0,) + (2**20,) * 7, "stride": (1,) * 8},
        {"size": (1,) * 100, "stride": (1,) * 100},
        {"view": b"(X\x01\x00\x00\x00v" + integer(10) + integer(10) + b"t"},
        {"view": b"(X\x01\x00\x00\x00v" + integer(-1) + integer(10) + b"t"},
        {"view": integer(3)},
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_the_file(tmp_path, zipped, changes):
    path = write(tmp_path / "x.bin", entry(tensor(**changes)), zipped)
    with pytest.raises(FormatError):
        read_torch(path)


@LAYOUTS
def test_part_of_a_storage(tmp_path, zipped):
    view = b"(X\x01\x00\x00\x00v" + integer(2) + integer(5) + b"t"
    path = write(tmp_path / "x.bin", entry(tensor(size=(5,), view=view)), zipped)
    assert read_torch(path)["x"].shape == (5,)
    path = write(tmp_path / "x.bin", entry(tensor(size=(6,), view=view)), zipped)
    with pytest.raises(FormatError, match="beyond its storage"):
        read_torch(path)
