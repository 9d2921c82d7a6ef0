"""``alexnet bench`` on a tiny net, and its peers, which must compute what we do."""

import dataclasses
import itertools
import json
import re
import sys
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

from alexnet_jax.bench import peers
from alexnet_jax.bench.layers import OneLayer
from alexnet_jax.bench.net import OwnNet, bench_config, flops
from alexnet_jax.bench.run import Report
from alexnet_jax.bench.timing import Task, Timing, alternate
from alexnet_jax.config import DenseConfig
from alexnet_jax.errors import AlexNetError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.variants import VARIANTS, small, variant
from alexnet_jax.weights.channels_first import to_channels_first
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_model

PROGRAMS = Path(__file__).parents[2] / "experiments" / "peers"


def tiny():
    """Two convolutions of the quick run's net with every operation, and one hidden layer."""
    net = small()
    conv1, conv2, *_ = net.convs
    conv2 = dataclasses.replace(conv2, then=("tanh", "spatial_response_norm", "max_pool"))
    return dataclasses.replace(net, convs=(conv1, conv2), dense=(DenseConfig(8),))


@pytest.fixture(autouse=True)
def nets(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", tiny)
    monkeypatch.syspath_prepend(PROGRAMS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The tables and the JSON of a whole run in bfloat16, beside float32 and a peer in bfloat16."""
    out = tmp_path_factory.mktemp("bench") / "found.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "tiny", tiny)
        arguments = ["--variant", "tiny", "--batch_size", 4, "--repeats", 2, "--dtype", "bfloat16", "--layers"]
        arguments += ["--against", "flax", "float32"]
        done = alexnet("bench", *arguments, "--json", out)
    assert done.returncode == 0, done.stderr
    return done, json.loads(out.read_text())


def test_everything_is_timed_as_often_as_asked(run):
    _, found = run
    timed = [(row["by"], row["form"], row["work"]) for row in found["timings"]]
    works = ["forward", "gradient", "train"]
    assert [row for row in timed if row[0] != "product"][:9] == [
        (by, form, work) for work in works for by, form in (("alexnet_jax", ""), ("flax", "NHWC"), ("float32", ""))
    ]
    layers = ["conv1", "relu1", "pool1", "norm1", "conv2", "tanh2", "rnorm2", "pool2"]
    layers += ["fc3", "relu3", "drop3", "fc4"]
    assert [row[1:] for row in timed if row[0] == "layer"] == [(name, work) for name in layers for work in works[:2]]
    for row in found["timings"]:
        assert len(row["seconds"]) == 2
        assert min(row["seconds"]) > 0
        assert row["milliseconds"] == pytest.approx(1000 * np.median(row["seconds"]))
        assert row["images_per_second"] == pytest.approx(4 / np.median(row["seconds"]))
        rate = row["flops"] / np.median(row["seconds"]) / 1e9
        assert row["gflops_per_second"] == pytest.approx(rate)
        assert row["fraction_of_peak"] == pytest.approx(rate / found["peak_gflops_per_second"])


def test_ratios_and_peak_follow_from_the_times(run):
    _, found = run
    seconds = {(row["by"], row["work"]): np.array(row["seconds"]) for row in found["timings"]}
    for peer, work in itertools.product(("flax", "float32"), ("forward", "gradient", "train")):
        want = np.median(seconds[peer, work] / seconds["alexnet_jax", work])
        assert found["ratios"][peer][work] == pytest.approx(want)
    rates = [row["flops"] / min(row["seconds"]) / 1e9 for row in found["timings"] if row["by"] == "product"]
    assert found["peak_gflops_per_second"] == pytest.approx(max(rates))
    assert found["compile_seconds"]["cold"] > 0


def test_the_tables_name_machine_works_and_layers(run):
    done, found = run
    assert (
        f"net         tiny, batch 4, bfloat16, 1 device(s)\nmachine     {found['machine']['processor']}" in done.stdout
    )
    assert re.search(
        r"^training step +alexnet_jax +[\d.]+ +[\d.]+ - [\d.]+ +[\d.]+ +[\d.]+ +\d+% *$", done.stdout, re.M
    )
    for peer in (r"plain Flax \(NHWC\)", "alexnet_jax in float32"):
        assert re.search(rf"^ +{peer} .*% +[\d.]+ x as fast *$", done.stdout, re.M)
    assert re.search(r"^drop3 +forward +[\d.]+ +[\d.]+ - [\d.]+ +[\d.]+ *$", done.stdout, re.M)
    assert "round 2 of 2" in done.stderr or "warming up" in done.stderr


def test_a_peer_counts_with_its_best_form_round_by_round():
    goes = {"ours": (1.0, 9.0, 2.0), "eager": (4.0, 36.0, 8.0), "quick": (2.0, 27.0, 2.0)}
    tasks = {form: Task("alexnet_jax" if form == "ours" else "torch", form, "train", 0) for form in goes}
    timings = {tasks[form]: Timing(seconds) for form, seconds in goes.items()}
    report = Report({}, 4, "float32", 1, {}, {"torch": ""}, timings)
    assert report.best("torch", "train") == tasks["quick"]
    assert report.ratio(tasks["quick"]) == 2.0
    assert report.best("torch", "forward") is None


def test_json_alone_goes_to_standard_output():
    done = alexnet("bench", "--variant", "tiny", "--batch_size", 4, "--repeats", 1, "--devices", 2, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["variant"], found["devices"]) == ("tiny", 2)
    assert [row["work"] for row in found["timings"] if row["by"] == "alexnet_jax"] == ["train"]


def test_operations_are_those_of_the_products_without_a_gradient_for_the_images():
    assert flops(variant("paper"), "forward", 64) == 2 * 724_406_816 * 64
    conv1 = 55 * 55 * 96 * 11 * 11 * 3
    assert flops(variant("paper"), "train", 64) == 2 * (3 * 724_406_816 - conv1) * 64


def test_contenders_take_turns_and_the_first_round_does_not_count():
    seen = []

    def contender(name, seconds):
        return lambda: seen.append(name) or seconds[seen.count(name) - 1]

    tasks = [Task(name, "", "forward", 0) for name in "ab"]
    timings = alternate({tasks[0]: contender("a", [9, 3, 1, 2]), tasks[1]: contender("b", [9, 5, 5, 4])}, 3)
    assert "".join(seen) == "abababab"
    assert timings[tasks[0]].seconds == (3, 1, 2)
    assert [(timing.low, timing.median, timing.high) for timing in timings.values()] == [(1, 2, 3), (4, 5, 5)]


def test_layers_in_a_row_are_the_net():
    config = tiny()
    images = jax.random.normal(jax.random.key(0), (2, 28, 28, 3), np.float32)
    net = AlexNet(config)
    params = net.init(jax.random.key(1), images)["params"]
    logits, seen = net.apply({"params": params}, images, train=False, mutable="intermediates")
    x = images
    for name, want in seen["intermediates"].items():
        own = {name: params[name]} if name in params else {}
        x = OneLayer(config, layer=name).apply({"params": own}, x, train=False)
        np.testing.assert_array_equal(x, want, err_msg=name)
    np.testing.assert_array_equal(x, logits)


# Peers

NETS = ["paper", "original", "caffe_alexnet", "torchvision"]


@cache
def task_for_a_peer(name):
    """What a peer is given, and the logits that it must give."""
    # of 70 pixels, where it matters how windows are rounded
    config = bench_config(dataclasses.replace(tiny_model(name), image_size=70), 3)
    net = OwnNet(config, 1)
    layers = to_channels_first(net.params, config.model, is_bgr=False)
    trees = {"ours": net.params, "channels_first": layers}
    arrays = {f"{tree}/{name}/{kind}": np.asarray(trees[tree][name][kind]) for tree in trees for name in layers
              for kind in ("kernel", "bias")}  # fmt: skip
    arrays |= {"images": np.asarray(net.crops), "labels": np.asarray(net.batch["label"])}
    return config, arrays, np.asarray(jax.jit(net.logits)(net.params, net.crops))


def assert_same(logits, want):
    assert np.abs(logits - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("name", NETS)
def test_plain_flax_computes_our_logits(name):
    from flax_peer import Form

    config, arrays, want = task_for_a_peer(name)
    assert_same(Form(config, arrays).logits(), want)


@pytest.mark.parametrize("name", NETS)
def test_pytorch_computes_our_logits_and_trains(name):
    pytest.importorskip("torch")
    from torch_peer import make_forms

    config, arrays, want = task_for_a_peer(name)
    forms = make_forms(config, arrays)
    for layout in ("NCHW", "channels_last"):
        form = forms[f"eager, {layout}"]
        assert_same(form.logits(), want)
        form.train()
        assert form.net.kernels["conv1"].grad.abs().max() > 0


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts another program in the place of the peer for plain Flax."""

    def write(code):
        (tmp_path / "flax_peer.py").write_text("import json, sys\n" + code)
        monkeypatch.setattr(peers, "_PROGRAMS", tmp_path)
        return OwnNet(bench_config(tiny(), 2), 1)

    return write


ANSWERS = """
print(json.dumps({"about": "a test", "forms": ["one"]}), flush=True)
for line in sys.stdin:
    print(json.dumps({"logits": [[1.0, 2.0]], "seconds": 0.5}), flush=True)
"""


def test_a_peer_that_computes_another_net_is_refused(program):
    with peers.running_peer("flax", program(ANSWERS)) as peer:
        assert peer.contender("one", "train")() == 0.5
        peer.check_same(np.array([[1.0, 2.0001]]))
        for other in (2.001, np.nan):
            with pytest.raises(AlexNetError, match=r"plain Flax \(one\): its logits differ from ours by"):
                peer.check_same(np.array([[1.0, other]]))


def test_a_peer_that_ends_says_why(program):
    with (
        pytest.raises(AlexNetError, match="plain Flax ended before its time: SystemExit: no memory"),
        peers.running_peer(
            "flax", program("raise Exception('SystemExit: no memory')".replace("Exception", "SystemExit"))
        ),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--variant papr", "unknown variant 'papr': did you mean paper?"),
        ("--repeats 0", "--repeats is 0: use a number above 0"),
        ("--devices 3 --variant tiny", "--devices is 3: this net of 2 tower"),
        ("--against caffe", "caffe"),
        ("--against float32", "--against is 'float32': this is what is timed already; use --dtype bfloat16 with it"),
        ("--json nowhere/found.json", "--json is nowhere/found.json: there is no folder nowhere"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, message, tmp_path):
    done = alexnet("bench", *arguments.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(rf"(drawing weights\n)?alexnet: error: .*{re.escape(message)}.*\n", done.stderr), done.stderr


def test_without_a_clone_or_the_package_comparison_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    done = alexnet("bench", "--against", "torch")
    assert done.returncode == 2
    assert "the package torch is missing; `uv run --with torch alexnet bench --against torch` brings it" in done.stderr
    monkeypatch.setattr(peers, "_PROGRAMS", tmp_path)
    done = alexnet("bench", "--against", "torch")
    assert done.returncode == 2
    assert "come with a clone of the project only" in done.stderr
