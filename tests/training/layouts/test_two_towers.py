import ast
import dataclasses
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import alexnet_jax
from alexnet_jax.config import OptimizerConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.training.layouts import OneDevice, TwoTowers, choose_layout
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.nets import tiny_config
from tests.helpers.slow import slow

KEY = jax.random.key(5)


@cache
def layouts(name):
    """One device and two for a tiny net. All tests share them, so that each step is compiled once."""
    config = tiny_local_config() if name == "local" else tiny_config(name)
    return config, OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])


def tiny_local_config():
    """``paper`` with locally connected layers that read one tower or both."""
    config = tiny_config("paper")
    conv1, conv2, *rest = config.model.convs
    convs = (conv1, conv2, *(dataclasses.replace(conv, shared_kernel=False) for conv in rest))
    return dataclasses.replace(config, model=dataclasses.replace(config.model, convs=convs))


def assert_close(found, want, rtol):
    """Equal to float32 rounding, measured against the largest value of each array."""

    def check(a, b):
        a, b = np.asarray(a), np.asarray(b)
        assert np.abs(a - b).max() <= rtol * max(np.abs(b).max(), 1e-30)

    jax.tree.map(check, found, want)


@pytest.mark.parametrize(
    "name",
    [
        "paper",
        slow("layer_file_150"),
        slow("local"),
    ],
)
def test_two_towers_have_the_loss_gradients_and_logits_of_the_grouped_net(name, batch):
    config, one, two = layouts(name)
    state = create_train_state(config, jax.random.key(0))
    first = one.train_step(one.place(state), batch, KEY)
    second = two.train_step(two.place(state), batch, KEY)
    assert_close(second[1], first[1], 1e-6)
    # after one step the velocities are the gradients times the rate, and the decay of the same weights
    assert_close(two.collect(second[0]).opt_state, first[0].opt_state, 1e-6)
    halves, whole = (layout.predict_step(layout.place(state), batch["image"], "center") for layout in (two, one))
    assert_close(halves, whole, 1e-6)


@pytest.mark.slow
def test_two_towers_stay_close_to_the_grouped_net_over_five_steps(batch):
    config, one, two = layouts("original")
    state = create_train_state(config, jax.random.key(0))
    grouped, towers = one.place(state), two.place(state)
    for _ in range(5):
        grouped, _ = one.train_step(grouped, batch, KEY)
        towers, _ = two.train_step(towers, batch, KEY)
    assert_close(two.collect(towers).params, grouped.params, 1e-4)
    assert two.collect(towers).step == 5


@pytest.mark.parametrize("classes", [slow(1), 3, slow(9)])
def test_an_odd_number_of_classes_trains_on_two_devices_as_on_one(classes, batch):
    model = tiny_config().model
    model = dataclasses.replace(model, convs=model.convs[:2], dense=model.dense[:1], classes=classes)
    config = tiny_config(model=model)
    one, two = OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])
    batch = batch | {"label": batch["label"] % classes}
    start = create_train_state(config, jax.random.key(0))
    grouped, towers, moved = one.place(start), two.place(start), two.place(start)
    for step in range(5):
        if step == 2:
            moved = one.place(two.collect(moved))
        grouped, metrics = one.train_step(grouped, batch, KEY)
        towers, tower_metrics = two.train_step(towers, batch, KEY)
        moved, _ = (two if step < 2 else one).train_step(moved, batch, KEY)
        assert_close(tower_metrics, metrics, 1e-5)
    collected = two.collect(towers)
    assert collected.params["fc4"]["kernel"].shape == (16, classes)
    for found in (collected, one.collect(moved)):
        assert_close((found.params, found.opt_state), (grouped.params, grouped.opt_state), 1e-4)
    halves, whole = two.eval_step(towers, batch, "center"), one.eval_step(grouped, batch, "center")
    assert_close(halves, whole, 1e-5)
    assert (float(halves["top5_error"]) > 0) == (classes > 5)
    scores = two.predict_step(towers, batch["image"], "center")
    assert scores.shape == (8, classes)
    np.testing.assert_allclose(np.exp(scores).sum(-1), 1.0, rtol=1e-5)


def test_the_padding_of_the_classifier_stays_zero(batch):
    config = tiny_config(model=dataclasses.replace(tiny_config().model, classes=3, head_bias=1.0))
    two = TwoTowers(config, jax.devices()[:2])
    state, _ = two.train_step(two.place(create_train_state(config, jax.random.key(0))), batch, KEY)
    assert state.params["fc8"]["bias"].shape == (2, 2)
    assert not np.any(state.params["fc8"]["kernel"][..., 1, 1])
    assert not np.any(state.params["fc8"]["bias"][1, 1])


@pytest.mark.slow
def test_two_towers_equal_one_device_with_every_option_of_the_optimizer(batch):
    """Norms and averages are those of whole arrays. The classes are odd, so the second tower has a padding unit."""
    config = tiny_config(
        optimizer=OptimizerConfig(rule="lars", lars_trust=0.01, nesterov=True, clip_norm=0.1, ema_decay=0.5),
        label_smoothing=0.1,
        micro_batches=2,
    )
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=9))
    one, two = OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])
    state = create_train_state(config, jax.random.key(0))
    grouped, towers = one.place(state), two.place(state)
    for _ in range(3):
        grouped, first = one.train_step(grouped, batch, KEY)
        towers, second = two.train_step(towers, batch, KEY)
    assert_close(second, first, 1e-5)
    found, want = two.collect(towers), one.collect(grouped)
    for name in ("params", "opt_state", "average"):
        assert_close(getattr(found, name), getattr(want, name), 1e-4)
    assert not np.allclose(grouped.average["fc8"]["kernel"], grouped.params["fc8"]["kernel"])


def test_conv2_reads_its_own_tower_and_conv3_both():
    """The gradient of conv2's first tower is exactly zero on conv1's second tower. That of conv3 is not."""
    config = tiny_config()
    net = AlexNet(config.model)
    images = jax.random.normal(KEY, (1, 67, 67, 3), jnp.float32) * 60
    params = jax.jit(net.init)(jax.random.key(0), images)["params"]

    def sum_of_first_channel(params, layer):
        outputs = net.apply({"params": params}, images, mutable="intermediates")[1]["intermediates"]
        return outputs[layer][..., 0].sum()

    gradient = jax.jit(jax.grad(sum_of_first_channel), static_argnums=1)
    for layer, reads_both in (("conv2", False), ("conv3", True)):
        kernel = gradient(params, layer)["conv1"]["kernel"]
        assert bool(jnp.any(kernel[..., :4] != 0))
        assert bool(jnp.any(kernel[..., 4:] != 0)) == reads_both


def test_unusable_numbers_of_devices_are_refused():
    assert isinstance(choose_layout(tiny_config()), TwoTowers)
    assert isinstance(choose_layout(tiny_config(), 1), OneDevice)
    with pytest.raises(UsageError, match="--devices is 3"):
        choose_layout(tiny_config(), 3)


def test_pmap_is_used_in_one_file():
    package = Path(alexnet_jax.__file__).parent
    users = {
        file.name
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute | ast.alias)
        and "pmap" in (getattr(node, "attr", ""), getattr(node, "name", ""))
    }
    assert users == {"two_towers.py"}
