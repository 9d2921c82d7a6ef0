"""Pickles of NumPy arrays, read without running code from the file."""

import os
import pickle

import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.weights.numpy_pickle import read_numpy_pickle


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nested_dicts_of_arrays_are_read_bit_for_bit(tmp_path, protocol):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 5, 2)).astype(np.float32)
    tree = {"conv1": {"kernel": kernel, "bias": np.float32([np.nan, -0.0])}, "fortran": np.asfortranarray(kernel)}
    (tmp_path / "tree").write_bytes(pickle.dumps(tree, protocol))
    if protocol == 2:  # bytes of this protocol are encoded by a call
        with pytest.raises(AlexNetError, match=r"has a _codecs\.encode"):
            read_numpy_pickle(tmp_path / "tree")
        return
    found = read_numpy_pickle(tmp_path / "tree")
    assert found["conv1"]["kernel"].tobytes() == kernel.tobytes()
    assert found["conv1"]["bias"].tobytes() == tree["conv1"]["bias"].tobytes()
    np.testing.assert_array_equal(found["fortran"], kernel)


@pytest.mark.parametrize(
    "value",
    [
        {"a": Call(os.mkdir, "made")},
        {"a": 1.5},
        {"a": np.arange(3)},
        {"a": np.array([{}], object)},
        {"a": np.float32(1)},
        [np.float32([1])],
        {"a": Call(np.ndarray, (2,))},
    ],
)
def test_other_values_are_refused_and_nothing_is_called(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(pickle.dumps(value))
    with pytest.raises(AlexNetError, match=f"^{tmp_path / 'file'}: .*(pickle only dicts of|not written by pickle)"):
        read_numpy_pickle(tmp_path / "file")
    assert not (tmp_path / "made").exists()


def test_a_truncated_file_is_refused(tmp_path):
    content = pickle.dumps({"a": np.zeros(100, np.float32)})
    for size in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "file").write_bytes(content[:size])
        with pytest.raises(AlexNetError):
            read_numpy_pickle(tmp_path / "file")
