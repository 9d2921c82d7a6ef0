"""Files of ``torch.save``: both formats, every dtype, and hostile or damaged files."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.weights.channels_first import to_channels_first
from alexnet_jax.weights.pytorch_file import read_state_dict
from tests.helpers.references import REFERENCES, draw, tiny
from tests.helpers.torch_files import Global, Stored, legacy, pickled, tensor, zipped

SAMPLES = REFERENCES / "torch"
ZIP, LEGACY = SAMPLES / "tiny_torchvision.pth", SAMPLES / "tiny_torchvision_legacy.pth"


NUMBERS = np.arange(24, dtype=np.float32)
FLOATS = Stored("Float", "0", 24)
GOOD = {"weight": tensor(FLOATS, 0, (4, 6), (6, 1))}


@pytest.mark.parametrize("sample", [ZIP, LEGACY])
def test_both_formats_read_back_bit_for_bit(sample):
    config = tiny("torchvision")
    params, _, _ = draw("torchvision", config, seed=1, batch=4)
    drawn = to_channels_first(params, config, is_bgr=False)
    modules = [*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6))]
    found = read_state_dict(sample)
    assert list(found) == [f"{module}.{part}" for module in modules for part in ("weight", "bias")]
    for module, layer in zip(modules, drawn.values(), strict=True):
        for part, expected in (("weight", layer["kernel"]), ("bias", layer["bias"])):
            assert found[f"{module}.{part}"].dtype == np.float32
            np.testing.assert_array_equal(found[f"{module}.{part}"], expected)


def test_views_of_one_storage_are_read_as_separate_tensors(tmp_path):
    tensors = {
        "contiguous": tensor(FLOATS, 0, (4, 6), (6, 1)),
        "transposed": tensor(FLOATS, 0, (6, 4), (1, 6)),
        "slice": tensor(FLOATS, 8, (2, 2), (6, 2)),
        "scalar": tensor(FLOATS, 23, (), ()),
        "empty": tensor(FLOATS, 24, (0, 3), (3, 1)),
        "parameter": Global("torch._utils", "_rebuild_parameter")(tensor(FLOATS, 1, (2,), (1,)), True, OrderedDict()),
    }
    contiguous = NUMBERS.reshape(4, 6)
    expected = {
        "contiguous": contiguous,
        "transposed": contiguous.T,
        "slice": contiguous[1:3, 2:5:2],
        "scalar": np.float32(23),
    }
    expected |= {"empty": np.zeros((0, 3), np.float32), "parameter": np.float32([1, 2])}
    files = [zipped(tmp_path / "zip.pth", tensors, {"0": NUMBERS.tobytes()})]
    files.append(legacy(tmp_path / "legacy.pth", tensors, ["0"], [NUMBERS]))
    for file in files:
        found = read_state_dict(file)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].shape == array.shape
            np.testing.assert_array_equal(found[name], array)
            assert not found[name].flags.writeable


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("Double", "f8"), ("Half", "f2"), ("Long", "i8"), ("Int", "i4"), ("Short", "i2"), ("Char", "i1"), ("Byte", "u1")],
)
def test_every_dtype_and_byte_order_is_read(tmp_path, kind, dtype, order):
    numbers = np.array([3, 1, 100], dtype)
    stored = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
    file = zipped(tmp_path / "net.pth", {"a": tensor(Stored(kind, "7", 3), 0, (3,), (1,))}, {"7": stored}, order=order)
    found = read_state_dict(file)["a"]
    assert found.dtype == numbers.dtype
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, numbers)


def test_bfloat16_and_bool_are_read(tmp_path):
    tensors = {
        "brain": tensor(Stored("BFloat16", "0", 2), 0, (2,), (1,)),
        "truth": tensor(Stored("Bool", "1", 2), 0, (2,), (1,)),
    }
    found = read_state_dict(zipped(tmp_path / "net.pth", tensors, {"0": b"\xc0\x3f\x20\xc1", "1": b"\x01\x00"}))
    assert found["brain"].dtype.name == "bfloat16"
    np.testing.assert_array_equal(found["brain"].astype(np.float32), [1.5, -10.0])
    np.testing.assert_array_equal(found["truth"], [True, False])


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_training_checkpoints_and_data_parallel_names_are_read(tmp_path, key):
    weights = OrderedDict({"features.module.0.weight": tensor(FLOATS, 0, (4, 6), (6, 1))})
    weights |= {"module.submodule.bias": tensor(FLOATS, 0, (6,), (1,))}
    momentum = {"momentum_buffer": tensor(Stored("Float", "1", 6), 0, (6,), (1,))}
    optimizer = {"state": {0: momentum}, "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0]}]}
    checkpoint = {
        "epoch": 3,
        "arch": "alexnet",
        key: weights,
        "best": tensor(FLOATS, 0, (), ()),
        "optimizer": optimizer,
    }
    storages = {"0": NUMBERS.tobytes(), "1": NUMBERS[:6].tobytes()}
    assert list(read_state_dict(zipped(tmp_path / "c.pth", checkpoint, storages))) == [
        "features.0.weight",
        "submodule.bias",
    ]


def test_pickles_of_python_2_and_early_pytorch_are_read(tmp_path):
    old = Global("torch._utils", "_rebuild_tensor")(FLOATS, 0, (4, 6), (6, 1))
    parameter = Global("torch.nn.parameter", "Parameter")(old, True)
    file = legacy(tmp_path / "old.pth", Global("collections", "OrderedDict")([["weight", parameter]]), ["0"], [NUMBERS])
    np.testing.assert_array_equal(read_state_dict(file)["weight"], NUMBERS.reshape(4, 6))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path, protocol):
    values = {"n": [1, -70000, 2**40, 1.5, None, True, "x" * 300], 3: (1, 2, 3, 4)}
    content = pickle.dumps(OrderedDict(values), protocol)
    with pytest.raises(AlexNetError, match=r"net\.pth: has no named tensors"):
        read_state_dict(zipped(tmp_path / "net.pth", content, {}))


def refused(path, match):
    tracemalloc.start()
    try:
        with pytest.raises(AlexNetError, match=match) as caught:
            read_state_dict(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert peak < 20_000_000


@pytest.mark.parametrize("sample", [ZIP, LEGACY])
def test_truncated_files_are_refused(tmp_path, sample):
    content = sample.read_bytes()
    file = tmp_path / "cut.pth"
    for length in [*range(40), *np.linspace(40, len(content) - 1, 40, dtype=int)]:
        file.write_bytes(content[:length])
        refused(file, "damaged|not written by torch.save")


class Command:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_commands_in_a_pickle_are_refused_and_do_not_run(tmp_path, protocol):
    trace = tmp_path / "trace"
    content = pickle.dumps({**{"a": 1}, "b": Command(trace)}, protocol)
    refused(zipped(tmp_path / "zip.pth", content, {}), r"has a (posix|nt)\.system, which is not supported")
    head = b"".join(map(pickled, [0x1950A86A20F9469CFC6C, 1001, {}]))
    (tmp_path / "legacy.pth").write_bytes(head + content)
    refused(tmp_path / "legacy.pth", r"\.system, .*; save only tensors, the model's state_dict\(\)")
    assert not trace.exists()


def test_pickled_models_are_refused_by_name(tmp_path):
    model = Global("torchvision.models.alexnet", "AlexNet")
    refused(
        zipped(tmp_path / "a.pth", {"model": model}, {}), r"has a torchvision\.models\.alexnet\.AlexNet, which is not"
    )
    name = pickle.dumps("bad\n\x1b[31m\nname")[2:-1]
    stacked = b"\x80\x04" + name + name + b"\x93."
    refused(zipped(tmp_path / "b.pth", stacked, {}), r"has a bad\\n\\x1b\[31m\\nname\.bad")


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (1, (4, 6), (6, 1)),
        (25, (), ()),
        (24, (1,), (1,)),
        (-1, (2,), (1,)),
        (0, (25,), (1,)),
        (0, (-4, -6), (6, 1)),
        (0, (4, 6), (7, 1)),
        (0, (2, 2), (-1, 1)),
        (0, (4, 6), (6,)),
        (0, (25,), (0,)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (2**70,), (1,)),
        (2**62, (1,), (1,)),
        (0, (1,) * 65, (1,) * 65),
        (0.0, (4, 6), (6, 1)),
        (0, "46", "61"),
        (0, 4, 1),
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, offset, size, stride):
    value = {"weight": tensor(FLOATS, offset, size, stride)}
    refused(zipped(tmp_path / "zip.pth", value, {"0": NUMBERS.tobytes()}), "damaged|larger than its storage")


@pytest.mark.parametrize("kind", ["missing", "short", "long", "negative"])
def test_storages_of_another_size_are_refused(tmp_path, kind):
    storages = {"0": NUMBERS.tobytes()[: {"short": -4}.get(kind)] + {"long": b"0000"}.get(kind, b"")}
    elements = -24 if kind == "negative" else 24
    value = {"weight": tensor(Stored("Float", "0", elements), 0, (4, 6), (6, 1))}
    refused(zipped(tmp_path / "zip.pth", value, {} if kind == "missing" else storages), "damaged|storage")
    numbers = {"short": NUMBERS[:-1], "long": np.append(NUMBERS, 0).astype(np.float32)}.get(kind, NUMBERS)
    keys = [] if kind == "missing" else ["0"]
    refused(legacy(tmp_path / "legacy.pth", value, keys, [numbers]), "damaged|storage")


def test_unused_storages_of_the_older_format_are_checked(tmp_path):
    value = {"state_dict": GOOD, "optimizer": tensor(Stored("Float", "1", 24), 0, (24,), (1,))}
    file = legacy(tmp_path / "net.pth", value, ["0", "1"], [NUMBERS, NUMBERS])
    assert list(read_state_dict(file)) == ["weight"]
    file.write_bytes(file.read_bytes()[:-1])
    refused(file, "damaged")
    refused(legacy(tmp_path / "long.pth", value, ["0", "1"], [NUMBERS, np.append(NUMBERS, NUMBERS)]), "damaged")
    for keys in (["0", "2"], ["0", ["1"]], 1):
        refused(legacy(tmp_path / "unknown.pth", value, keys, [NUMBERS, NUMBERS]), "damaged")


def test_keys_that_are_slow_to_hash_are_refused(tmp_path):
    refused(zipped(tmp_path / "net.pth", {(1, 2): 3}, {}), "damaged")


def test_archive_entries_larger_than_the_file_are_refused(tmp_path):
    file = zipped(tmp_path / "net.pth", GOOD, {"0": NUMBERS.tobytes()})
    assert list(read_state_dict(file)) == ["weight"]
    content = bytearray(file.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    file.write_bytes(content)
    refused(file, "damaged")


def test_compressed_archives_are_refused(tmp_path):
    file = zipped(tmp_path / "net.pth", GOOD, {"0": NUMBERS.tobytes()}, zipfile.ZIP_DEFLATED)
    refused(file, "is compressed")


@pytest.mark.parametrize("order", ["middle", ""])
def test_unknown_byte_orders_are_refused(tmp_path, order):
    refused(zipped(tmp_path / "net.pth", GOOD, {"0": NUMBERS.tobytes()}, order=order), "damaged")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\xff\xff\xff\xff.",  # a memo index of 2**32 - 1
        b"\x80\x02}j\xff\xff\xff\xff.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x02\x8b\xff\xff\xff\x7fx.",
        b"\x80\x02" + b"}" * 300_000 + b".",
        b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",  # a key too deep to hash
        b"\x80\x02ccollections\nOrderedDict\n)}b.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02)R.",
        b"\x80\x02((((.",
        b"\x80\x02]K\x01K\x02s.",
        b"\x80\x02}K\x01a.",
        b"\x80\x02.",
        b"\x80\x02}}.",
        b"cposix\nsystem\n.",
        b"I1\n.",
        b"(lp0\n.",
        b"",
        b"\x00",
    ],
)
def test_hostile_pickles_are_refused_with_little_memory(tmp_path, content):
    refused(
        zipped(tmp_path / "net.pth", content, {}), "damaged|has a|has more than|has the pickle opcode|no named tensors"
    )


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "was not written by torch.save"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000), "was not written by torch.save"),
        (b"PK\x03\x04" + bytes(100), "is damaged"),
        (b"weights".ljust(257, b"\0") + b"ustar\x0000" + bytes(512), "tar archive"),
        (pickle.dumps({"a": 1}), "was not written by torch.save"),
    ],
)
def test_other_files_are_refused(tmp_path, content, match):
    file = tmp_path / "renamed.pth"
    file.write_bytes(content)
    refused(file, match)


def test_other_archives_missing_files_and_directories_are_refused(tmp_path):
    np.savez(tmp_path / "net.npz", a=NUMBERS)
    refused(tmp_path / "net.npz", "zip archive, but not of torch.save")
    refused(tmp_path / "nowhere.pth", "cannot be read")
    refused(tmp_path, "cannot be read")


def test_names_that_are_equal_without_module_are_refused(tmp_path):
    value = {name: tensor(FLOATS, 0, (6,), (1,)) for name in ("bias", "module.bias")}
    refused(zipped(tmp_path / "net.pth", value, {"0": NUMBERS.tobytes()}), "two tensors bias")
