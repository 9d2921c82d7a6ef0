"""The peers compute this project's net, and answer as the benchmark expects."""

from __future__ import annotations

import dataclasses
import sys
from functools import cache

import jax
import numpy as np
import pytest

from alexnet_jax.bench import peers
from alexnet_jax.bench.net import OwnNet, bench_config
from alexnet_jax.bench.peer_programs.flax_peer import Form
from alexnet_jax.bench.peer_programs.serve import read_task
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.hints import command_with_packages
from alexnet_jax.variants import variant
from tests.bench.conftest import tiny
from tests.helpers.nets import tiny_model
from tests.helpers.slow import slow

NETS = [
    "paper",
    *map(slow, ("original", "caffe_alexnet", "torchvision")),
]


@cache
def own_net(name):
    # With images of 70 pixels, the rounding of windows matters.
    model = tiny() if name == "tiny" else dataclasses.replace(tiny_model(name), image_size=70)
    return OwnNet(bench_config(model, 3), 1)


@pytest.fixture
def task(request, tmp_path):
    """The files that a peer reads, and the logits that it must compute."""
    net = own_net(request.param)
    peers._write_task(tmp_path, net)
    config, arrays = read_task(str(tmp_path))
    assert config == net.config
    return config, arrays, np.asarray(jax.jit(net.logits)(net.params, net.crops))


def assert_close(logits, expected):
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("task", NETS, indirect=True)
def test_plain_flax_computes_the_same_logits(task):
    config, arrays, expected = task
    assert_close(Form(config, arrays).logits(), expected)


@pytest.mark.parametrize("task", NETS, indirect=True)
def test_pytorch_computes_the_same_logits_and_trains(task):
    pytest.importorskip("torch")
    from alexnet_jax.bench.peer_programs.torch_peer import make_forms

    config, arrays, expected = task
    forms = make_forms(config, arrays)
    for memory_format in ("NCHW", "channels_last"):
        form = forms[f"eager, {memory_format}"]
        assert_close(form.logits(), expected)
        form.train()
        assert form.net.kernels["conv1"].grad.abs().max() > 0


@pytest.mark.parametrize("name", ["paper", slow("cifar10_11pct"), slow("layer_file_150"), "alexnet_bn"])
def test_onnx_runtime_computes_the_same_logits(name, tmp_path):
    net = OwnNet(bench_config(dataclasses.replace(tiny_model(name), image_size=70), 3), 1)
    with peers.running_peer("onnxruntime", net) as peer:
        assert (peer.forms, peer.works) == ([""], ["forward"])
        peer.check_logits(np.asarray(jax.jit(net.logits)(net.params, net.crops)))
        assert peer.contender("", "forward")() > 0


@pytest.mark.parametrize(
    ("dtype", "devices", "message"),
    [("bfloat16", 1, "float32 only, use --dtype float32"), ("float32", 2, "no training step, use --devices 1")],
)
def test_onnx_runtime_is_refused_for_what_it_cannot_do(dtype, devices, message):
    with pytest.raises(UsageError, match=f"^--against is 'onnxruntime': it .*{message}$"):
        peers.check_peer("onnxruntime", dtype, devices)


@pytest.fixture
def start_program(tmp_path, monkeypatch):
    """Starts a program in place of the peer for plain Flax."""

    def start(code):
        (tmp_path / "flax_peer.py").write_text("import json, sys\n" + code)
        monkeypatch.setattr(peers, "_PROGRAMS", tmp_path)
        return peers.running_peer("flax", own_net("tiny"))

    return start


ANSWERS = """
print(json.dumps({"about": "a test", "forms": ["one"], "works": ["train"]}), flush=True)
for line in sys.stdin:
    print(json.dumps({"logits": [[1.0, 2.0]], "seconds": 0.5}), flush=True)
"""


def test_a_peer_that_computes_another_net_is_refused(start_program):
    with start_program(ANSWERS) as peer:
        assert peer.contender("one", "train")() == 0.5
        peer.check_logits(np.array([[1.0, 2.0001]]))
        for other in (2.001, np.nan):
            with pytest.raises(AlexNetError, match=r"plain Flax \(one\): its logits differ from ours by"):
                peer.check_logits(np.array([[1.0, other]]))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param("raise SystemExit('first line\\nno memory')", "no memory$", id="the last line"),
        pytest.param("raise ImportError('no lib\\nset DEBUG=1 for more')", "ImportError: no lib$", id="the exception"),
        pytest.param("sys.exit(1)", "no error message$", id="nothing"),
    ],
)
def test_a_peer_that_ends_early_is_reported_with_its_reason(start_program, code, reason):
    with pytest.raises(AlexNetError, match=f"plain Flax ended early: {reason}"), start_program(code):
        pass


def test_a_missing_package_is_reported_with_the_command_that_adds_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError) as error:
        peers.check_peer("torch", "float32")
    remedy = command_with_packages(["torch"], "bench", "--against", "torch")
    assert str(error.value) == f"--against is torch: the package torch is not installed; use `{remedy}`"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10_13pct", "conv3 is locally connected: the plain Flax peer has no such layer"),
        ("cifar10_18pct", "pool2 is average pooling"),
        ("layer_file_150", "fc6 has groups"),
        ("alexnet_bn", "bn2 is batch normalisation"),
    ],
)
def test_nets_with_layers_that_a_peer_does_not_have_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        peers._check_layers("flax", variant(name))
