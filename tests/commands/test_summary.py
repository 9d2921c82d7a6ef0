"""``alexnet summary`` and ``alexnet variants``."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from alexnet_jax.variants import VARIANTS
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.torchvision import torchvision_names
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.run_directories import write_run
from tests.helpers.torch_files import Stored, tensor, zipped

TORCHSUMMARY = """
            Conv2d-1           [-1, 96, 55, 55]          34,944
              ReLU-2           [-1, 96, 55, 55]               0
         MaxPool2d-3           [-1, 96, 27, 27]               0
            Conv2d-4          [-1, 256, 27, 27]         614,656
              ReLU-5          [-1, 256, 27, 27]               0
         MaxPool2d-6          [-1, 256, 13, 13]               0
            Conv2d-7          [-1, 384, 13, 13]         885,120
              ReLU-8          [-1, 384, 13, 13]               0
            Conv2d-9          [-1, 384, 13, 13]       1,327,488
             ReLU-10          [-1, 384, 13, 13]               0
           Conv2d-11          [-1, 256, 13, 13]         884,992
             ReLU-12          [-1, 256, 13, 13]               0
        MaxPool2d-13            [-1, 256, 6, 6]               0
AdaptiveAvgPool2d-14            [-1, 256, 6, 6]               0
          Dropout-15                 [-1, 9216]               0
           Linear-16                 [-1, 4096]      37,752,832
             ReLU-17                 [-1, 4096]               0
          Dropout-18                 [-1, 4096]               0
           Linear-19                 [-1, 4096]      16,781,312
             ReLU-20                 [-1, 4096]               0
           Linear-21                 [-1, 1000]       4,097,000
================================================================
Total params: 62,378,344
Trainable params: 62,378,344
Non-trainable params: 0
----------------------------------------------------------------
Input size (MB): 0.57
Forward/backward pass size (MB): 11.16
Params size (MB): 237.95
Estimated Total Size (MB): 249.69
"""
"""The table of the post "AlexNet网络的Pytorch实现", which torchsummary printed."""


def rows_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_summary_shows_windows_shapes_parameters_and_macs():
    rows = rows_of(alexnet("summary", "paper").stdout)
    assert ["conv1", "11x11", "4", "1", "55x55x96", "34,944", "105,415,200"] in rows
    assert ["conv2", "5x5", "1", "2", "27x27x256", "307,456", "223,948,800"] in rows
    assert ["pool5", "3x3", "2", "6x6x256"] in rows
    assert ["norm1", "55x55x96"] in rows
    assert ["fc6", "4096", "37,752,832", "37,748,736"] in rows
    assert ["60,965,224", "parameters,", "724,406,816", "MACs"] in rows
    assert ["parameters", "232.56", "MiB"] in rows


def test_summary_json_holds_the_table():
    found = json.loads(alexnet("summary", "paper", "--json", "-").stdout)
    assert (found["variant"], found["parameters"], found["macs"]) == ("paper", 60_965_224, 724_406_816)
    assert found["rows"][0] == {
        "name": "conv1",
        "shape": [55, 55, 96],
        "parameters": 34_944,
        "macs": 105_415_200,
        "kernel": 11,
        "stride": 4,
        "groups": 1,
    }


def test_torchsummary_prints_the_rows_and_sizes_of_torchsummary():
    done = alexnet("summary", "single_tower", "--format", "torchsummary")
    assert rows_of(TORCHSUMMARY.strip()) == rows_of(done.stdout)[3:-1]


@pytest.mark.parametrize("name", ["paper", "original", "cifar10_11pct", "layer_file_150", "d2l", "alexnet_bn"])
def test_torchsummary_has_the_parameters_of_every_net(name):
    total = json.loads(alexnet("summary", name, "--json", "-").stdout)["parameters"]
    assert f"Total params: {total:,}\n" in alexnet("summary", name, "--format", "torchsummary").stdout


def test_torchsummary_of_convolutions_alone_ends_at_their_last_pooling():
    rows = rows_of(alexnet("summary", "torchvision_features", "--format", "torchsummary").stdout)
    assert ["MaxPool2d-13", "[-1,", "256,", "6,", "6]", "0"] in rows
    assert ["Total", "params:", "2,469,696"] in rows
    assert not any(row[0].startswith(("AdaptiveAvgPool2d", "Linear")) for row in rows if row)


def test_a_named_net_has_its_published_accuracy_and_the_preprocessing_of_its_preset():
    text = " ".join(alexnet("summary", "torchvision").stdout.split())
    assert "56.522% / 79.066% (one crop, ILSVRC-2012 validation): alexnet-owt-7be5be79.pth" in text
    assert "224 x 224 crops of 256 x 256 pixels (shorter side scaled, centre cropped), minus the mean of each" in text
    assert "presets imagenet_torchvision" in text


def test_a_run_is_recognised_with_its_step_and_its_initial_weights(tmp_path):
    config = tiny_config("original")
    run = write_run(tmp_path / "run", config, tuple("abcdefghij"))
    done = alexnet("summary", run, "--json", "-")
    found = json.loads(done.stdout)
    assert (found["variant"], found["step"], found["looks_untrained"]) == ("original", 7, True)
    fields = {difference["field"]: difference["value"] for difference in found["differences"]}
    assert (fields["classes"], fields["image_size"], fields["convs.0.features"]) == (10, 67, 8)
    assert "towers" not in fields
    assert found["preprocessing"]["stored"] == 72
    assert done.stderr == (
        f"alexnet: warning: {run}: the weights of all layers look like initial weights; is it the trained net?\n"
    )


def test_trained_weights_give_no_warning(tmp_path):
    def train(state):
        conv2 = state.params["conv2"]
        return state.replace(params=state.params | {"conv2": conv2 | {"kernel": conv2["kernel"] + 0.1}})

    run = write_run(tmp_path / "run", tiny_config(), tuple("abcdefghij"), train)
    done = alexnet("summary", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert ["trained", "7", "steps"] in rows_of(done.stdout)


@pytest.mark.slow
@pytest.mark.optimized
def test_the_sample_run_looks_trained_after_an_epoch(tmp_path):
    done = alexnet("train", "--epochs", 1, "--workdir", tmp_path / "run", "--quiet")
    assert done.returncode == 0, done.stderr
    found = alexnet("summary", tmp_path / "run")
    assert found.stderr == ""
    assert rows_of(found.stdout)[0] == ["net", "small"]


def test_pytorchs_initial_weights_are_recognised_in_its_files(tmp_path):
    """PyTorch draws weights and biases from the same range."""
    path = tmp_path / "net.pth"
    write_state_dict(path, dataclasses.replace(tiny_model("single_tower"), image_size=224))
    done = alexnet("summary", path, "--variant", "single_tower", "--json", "-")
    assert json.loads(done.stdout)["looks_untrained"], done.stderr
    assert "look like initial weights" in done.stderr


def write_state_dict(path, model):
    rng, arrays = np.random.default_rng(0), {}
    for shape, theirs in zip(layer_shapes(model).values(), torchvision_names(model).values(), strict=True):
        bound = np.prod(shape[1:]) ** -0.5
        arrays[f"{theirs}.weight"] = rng.uniform(-bound, bound, shape).astype(np.float32)
        arrays[f"{theirs}.bias"] = rng.uniform(-bound, bound, shape[0]).astype(np.float32)
    state, storages = {}, {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(stride // 4 for stride in array.strides)
        state[name] = tensor(Stored("Float", str(key), array.size), 0, array.shape, strides)
        storages[str(key)] = array.tobytes()
    zipped(path, state, storages)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["no.pth"], 1, "no.pth: no such file or directory; pass a run directory or a weights file"),
        (["paper", "--variant", "original"], 2, "--variant is 'original': only files of weights take it"),
    ],
)
def test_errors_are_one_line(arguments, status, message):
    done = alexnet("summary", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"alexnet: error: {message}\n")


def test_variants_are_listed_with_their_sizes():
    rows = rows_of(alexnet("variants").stdout)
    assert [row[0] for row in rows if row[0] in VARIANTS] == list(VARIANTS)
    assert next(row[:4] for row in rows if row[0] == "original") == ["original", "224", "60.97", "724.4"]


def test_variants_json_holds_the_table(tmp_path):
    done = alexnet("variants", "--json", tmp_path / "out.json")
    found = {net["variant"]: net for net in json.loads((tmp_path / "out.json").read_text())}
    assert list(found) == list(VARIANTS)
    assert (found["paper"]["parameters"], found["d2l"]["channels"]) == (60_965_224, 1)
    assert done.stdout


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("arguments", [["variants"], ["summary", "original"], ["summary", "single_tower"]])
def test_tables_fit_the_terminal(monkeypatch, width, arguments):
    monkeypatch.setenv("COLUMNS", str(width))
    text = alexnet(*arguments).stdout
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_an_unknown_variant_suggests_similar_names():
    done = alexnet("summary", "papr")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"alexnet: error: unknown variant 'papr': did you mean paper\?\n", done.stderr)
