"""``alexnet bench data`` on small images, with stand-ins for the peers' interpreters."""

from __future__ import annotations

import json
import stat
import sys

import pytest

from alexnet_jax.commands import bench_data
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.hints import command_with_packages

TINY = ["--image_size", "24", "--batch_size", "4", "--seconds", "0.01", "--images", "12"]
PEER = """#!{python}
import json, sys
if sys.argv[1] == "-c":
    print(*({missing!r} if "torch" in sys.argv[3:] else ()))
else:
    assert sys.argv[3] in ("jpeg", "raw")
    print(json.dumps({{"images_per_second": 1000, "images_per_cpu_second": 500}}))
"""


@pytest.fixture
def python(tmp_path):
    """An interpreter for peers that reports given packages as missing, and runs no program."""

    def write(*missing):
        file = tmp_path / "python"
        file.write_text(PEER.format(python=sys.executable, missing=missing))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return ["--tensorflow_python", str(file), "--torch_python", str(file)]

    return write


def test_json_has_own_pipelines_peers_and_missing_packages(python, capfd):
    arguments = python("torch", "torchvision")
    assert bench_data.main([*TINY, *arguments, "--json", "-"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["cores"] >= 1
    own = [row for row in found["measurements"] if row["pipeline"] == "alexnet_jax"]
    assert {row["stored"] for row in own} == {"jpeg", "raw"}
    assert all(row["throughput"]["images_per_second"] > 0 for row in own)
    peers = {row["pipeline"]: row["throughput"] for row in found["measurements"] if row not in own}
    assert peers["tf.data"] == {"images_per_second": 1000, "images_per_cpu_second": 500}
    assert set(peers) == {"tf.data", "TFDS and Grain"}
    assert found["missing"] == [
        {
            "library": "torch",
            "pipeline": "torch DataLoader",
            "python": arguments[-1],
            "packages": ["torch", "torchvision"],
        }
    ]


def test_a_missing_package_is_one_line_with_the_command_that_adds_it(python, photos, capfd):
    arguments = python("torchvision")
    assert bench_data.main(["--dataset", str(photos(splits=("train", "test"))), *TINY, *arguments]) == 0
    table = capfd.readouterr().out
    assert "as stored" in table
    assert "TFDS" not in table
    (line,) = [line for line in table.splitlines() if "torch" in line]
    assert line == (
        "torch DataLoader is not measured: torchvision not installed; use "
        f"`{command_with_packages(['torchvision'], 'bench', 'data', python=arguments[-1])}`"
    )


def test_an_interpreter_that_does_not_exist_is_refused():
    with pytest.raises(AlexNetError, match=r"^/no/python: cannot be run \(No such file or directory\)"):
        bench_data.main([*TINY, "--tensorflow_python", "/no/python"])


def test_a_batch_larger_than_the_data_set_is_refused(photos):
    folder = str(photos(per_class=3, splits=("train", "test")))
    with pytest.raises(UsageError, match=r"^--batch_size is 7: use at most 6, the number of training images$"):
        bench_data.main([*TINY, "--dataset", folder, "--batch_size", "7"])


@pytest.mark.parametrize("wrong", [["--batch_size", "0"], ["--images", "3", "--batch_size", "4"], ["--seconds", "-1"]])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=f"{wrong[0]} is {wrong[1]}"):
        bench_data.main(wrong)
