"""Every form in ``FORMS`` against the plain form, and how forms are chosen."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import ConvConfig, LocalResponseNorm, MaxPool
from alexnet_jax.errors import UsageError
from alexnet_jax.ops import crops, layers
from alexnet_jax.ops.backends import FORMS, PLAIN, cpu, forms_of_platform, run, tpu, use_forms, winograd
from alexnet_jax.training.layouts import choose_layout
from tests.helpers.nets import tiny_config

BATCH = -1  # stands for the batch size in a shape


@dataclasses.dataclass(frozen=True)
class Case:
    """Arguments of an operation."""

    shapes: tuple[tuple[int, ...], ...]  # of the arrays to differentiate by
    options: dict = dataclasses.field(default_factory=dict)
    scale: float = 1.0  # of the first array
    offsets: int | None = None  # for crops: one more than the largest offset


def conv(height, width, channels, config):
    kernel = (config.kernel_size, config.kernel_size, channels // config.groups, config.features)
    return Case(((BATCH, height, width, channels), kernel), {"config": config, "groups": config.groups})


def norm(height, channels, config, towers):
    return Case(((BATCH, height, 3, channels),), {"config": config, "towers": towers}, scale=16.0)


def pool(height, width, config):
    return Case(((BATCH, height, width, 3),), {"config": config})


PAPER_CONV1 = conv(40, 28, 3, ConvConfig(4, 11, stride=4, rounding="up"))

CASES = {
    cpu.convolve: {
        "conv1": PAPER_CONV1,
        "conv2": conv(27, 9, 4, ConvConfig(4, 5, padding=2, groups=2)),
        "conv3": conv(13, 6, 5, ConvConfig(4, 3, padding=1)),
        "pairs of pixels, too few rows for Winograd": conv(2, 6, 3, ConvConfig(4, 3, padding=1)),
        "pairs in odd rows": conv(3, 6, 1, ConvConfig(4, 2)),
        "pairs in groups": conv(1, 5, 4, ConvConfig(4, 5, padding=2, groups=2)),
        "even window and unread rows": conv(17, 9, 2, ConvConfig(2, 4, stride=2, padding=1)),
    },
    tpu.convolve: {
        "conv1": PAPER_CONV1,
        "conv1 of Caffe": conv(31, 28, 3, ConvConfig(4, 11, stride=4)),
        "conv1 of torchvision": conv(39, 20, 3, ConvConfig(4, 11, stride=4, padding=2)),
        "padding of a stride": conv(12, 12, 3, ConvConfig(2, 5, stride=4, padding=4)),
        "padding within a block": conv(15, 16, 3, ConvConfig(2, 3, stride=4, padding=1)),
    },
    cpu.add_bias: {
        "of maps": Case(((BATCH, 5, 4, 6), (6,))),
        "of units": Case(((BATCH, 6), (6,))),
        "of places": Case(((BATCH, 3, 2, 4), (3, 2, 4))),
    },
    cpu.dense: {
        "": Case(((BATCH, 7), (7, 5))),
        "of one image": Case(((1, 7), (7, 5))),
        "in groups": Case(((BATCH, 12), (4, 6)), {"groups": 3}),
        "in groups, many images": Case(((9, 12), (4, 6)), {"groups": 3}),
    },
    tpu.local_response_norm: {
        "of the paper": norm(5, 12, LocalResponseNorm(), 2),
        "another exponent": norm(5, 12, LocalResponseNorm(size=3, k=1.0, alpha=0.3, beta=0.5, divide_alpha=True), 1),
        "towers that fill the matrix unit": norm(1, 256, LocalResponseNorm(), 2),
    },
    cpu.max_pool: {
        "overlapping windows": pool(13, 7, MaxPool()),
        "windows past the edge": pool(12, 7, MaxPool(rounding="up")),
        "separate windows": pool(9, 8, MaxPool(size=2)),
    },
    tpu.crop: {"": Case(((BATCH, 9, 8, 3),), {"size": 5}, offsets=4)},
}
"""Arguments by form. Among them are odd sizes, and ``BATCHES`` has one image and an odd number."""

BATCHES = {"float32": 3, "bfloat16": 1}

# The largest difference from the plain form in float32, relative to the largest value of each array.
TOLERANCES = {
    "float32": {"value": 1e-5, "forward": 1e-5, "reverse": 1e-5, "second": 5e-5},
    "bfloat16": {"value": 0.01, "forward": 0.02, "reverse": 0.02, "second": 0.05},
}

PLAIN_OF = {form: operation for operation, forms in FORMS.items() for form in forms.values()}

FIRST_CASES = [next(iter(cases.values())) for cases in CASES.values()]
EVERY_CASE = [
    pytest.param(form, case, id="-".join(filter(None, [form.__module__.split(".")[-1], form.__name__, name])))
    for form in PLAIN_OF
    for name, case in CASES.get(form, {}).items()
]


@pytest.fixture(autouse=True)
def winograd_for_small_layers(monkeypatch):
    monkeypatch.setattr(winograd, "_MIN_MULTIPLIES", 0)


def distinct(shape, seed):
    """Random numbers that are exact in bfloat16 and, up to sign, distinct. Equal ones would let max-pooling choose."""
    count = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    numbers = (0x3F80 + np.arange(count)).astype(np.uint16).view(jnp.bfloat16).astype(np.float32)
    signs = np.where(np.arange(count) % 2, -1.0, 1.0)
    return (rng.permutation(numbers * signs) / np.abs(numbers).max()).astype(np.float32).reshape(shape)


def arguments(case, batch):
    """The arrays to differentiate by, and the other arrays."""
    shapes = [tuple(batch if size == BATCH else size for size in shape) for shape in case.shapes]
    first, *others = [distinct(shape, seed) for seed, shape in enumerate(shapes)]
    arrays = tuple(map(jnp.asarray, (first * np.float32(case.scale), *others)))
    if case.offsets is None:
        return arrays, ()
    rng = np.random.default_rng(9)
    return arrays, (jnp.asarray(rng.integers(0, case.offsets, (batch, 2))), jnp.asarray(rng.random(batch) < 0.5))


def derivatives(form, case, batch, dtype):
    """The value, both first derivatives, and the second derivative along a direction."""
    arrays, others = arguments(case, batch)
    arrays = jax.tree.map(lambda array: array.astype(dtype), arrays)
    directions = jax.tree.map(lambda array: jnp.asarray(distinct(array.shape, 5), dtype), arrays)
    weights = jnp.asarray(distinct(jax.eval_shape(partial(form, **case.options), *arrays, *others).shape, 6))

    def loss(*arrays):
        return jnp.vdot(weights, jnp.square(form(*arrays, *others, **case.options).astype(jnp.float32)))

    def compute(arrays, directions):
        value, tangent = jax.jvp(lambda *arrays: form(*arrays, *others, **case.options), arrays, directions)
        gradient, curvature = jax.jvp(jax.grad(loss, range(len(arrays))), arrays, directions)
        return {"value": value, "forward": tangent, "reverse": gradient, "second": curvature}

    quick_compile = {"xla_backend_optimization_level": 0}
    return jax.jit(compute, compiler_options=quick_compile)(arrays, directions)


def program(form, case):
    arrays, others = arguments(case, 3)
    return str(jax.make_jaxpr(partial(form, **case.options))(*arrays, *others))


@pytest.mark.parametrize(
    ("form", "case", "dtype"),
    [
        pytest.param(
            *each.values,
            dtype,
            id=f"{each.id}-{dtype}",
            marks=() if dtype == "float32" or each.values[1] in FIRST_CASES else pytest.mark.slow,
        )
        for each in EVERY_CASE
        for dtype in BATCHES
    ],
)
def test_form_has_the_value_and_derivatives_of_the_plain_form(form, case, dtype):
    assert program(form, case) != program(PLAIN_OF[form], case), "this case does not reach the form"
    batch = BATCHES[dtype]
    found, want = derivatives(form, case, batch, dtype), derivatives(PLAIN_OF[form], case, batch, "float32")
    for kind, tolerance in TOLERANCES[dtype].items():
        for array, reference in zip(jax.tree.leaves(found[kind]), jax.tree.leaves(want[kind]), strict=True):
            assert array.shape == reference.shape
            difference = jnp.abs(array.astype(jnp.float32) - reference).max()
            assert difference <= tolerance * jnp.abs(reference).max(), kind


@pytest.mark.parametrize("dtype", BATCHES)
@pytest.mark.parametrize(("form", "case"), EVERY_CASE)
def test_form_has_the_dtype_of_the_plain_form(form, case, dtype):
    arrays, others = arguments(case, 3)
    arrays = [array.astype(dtype) for array in arrays]
    found, want = (
        jax.eval_shape(partial(each, **case.options), *arrays, *others).dtype for each in (form, PLAIN_OF[form])
    )
    assert found == want


def test_every_form_has_cases():
    forms = {form for forms in FORMS.values() for form in forms.values()}
    assert CASES.keys() == forms, "a new form needs arguments in CASES"


def test_a_form_without_cases_is_detected(monkeypatch):
    monkeypatch.setitem(FORMS, layers.spatial_response_norm, {"cpu": layers.spatial_response_norm})
    with pytest.raises(AssertionError, match="a new form needs arguments in CASES"):
        test_every_form_has_cases()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("count", [1, 16])
@pytest.mark.parametrize("form", FORMS[crops.crop].values())
def test_crops_are_exact(form, dtype, count):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(0, 256, (count, 9, 9, 3)).astype(dtype))
    offsets, flipped = jnp.asarray(rng.integers(0, 4, (16, 2))), jnp.asarray(rng.random(16) < 0.5)
    want = crops.crop(images, offsets, flipped, size=6)
    np.testing.assert_array_equal(form(images, offsets, flipped, size=6), want)


def test_the_first_of_equal_values_gets_the_gradient_of_max_pooling():
    images, config = jnp.zeros((2, 7, 7, 3), jnp.float32), MaxPool()
    gradient, want = (
        jax.grad(lambda images, form=form: form(images, config=config).sum())(images)
        for form in (cpu.max_pool, layers.max_pool)
    )
    np.testing.assert_array_equal(gradient, want)


# How a form is chosen, with forms that multiply the product of a dense layer by 2 and 3.

UNITS, KERNEL = jnp.ones((1, 1), jnp.float32), jnp.ones((1, 1), jnp.float32)


@pytest.fixture
def marked_forms(monkeypatch):
    forms = {"cpu": lambda units, kernel: 2.0 * units @ kernel, "tpu": lambda units, kernel: 3.0 * units @ kernel}
    monkeypatch.setitem(FORMS, layers.dense, forms)


def factor(units=UNITS):
    return float(run(layers.dense, units, KERNEL)[0, 0])


@pytest.mark.usefixtures("marked_forms")
def test_the_platform_decides_without_a_choice():
    def dense(units):
        return run(layers.dense, units, KERNEL)

    assert factor() == 2.0
    traced = jax.jit(dense).trace(UNITS)
    for platform, mark in (("cpu", "2.0"), ("tpu", "3.0")):
        assert f"dense<{mark}" in traced.lower(lowering_platforms=(platform,)).as_text()
    on_gpu = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "multiply" not in on_gpu


@pytest.mark.usefixtures("marked_forms")
def test_use_forms_chooses_for_the_code_inside():
    with use_forms(dense="tpu"):
        assert factor() == 3.0
        with use_forms("plain"):
            assert factor() == 1.0
        with use_forms(max_pool="cpu"):
            assert factor() == 3.0
    assert factor() == 2.0


@pytest.mark.usefixtures("marked_forms")
def test_the_forms_of_a_platform_leave_choices():
    with forms_of_platform("tpu"):
        assert factor() == 3.0
        with use_forms(dense="plain"):
            assert factor() == 1.0
    with use_forms(max_pool="cpu"), forms_of_platform("gpu"):
        assert factor() == 1.0
    with use_forms(dense="cpu"), forms_of_platform("tpu"):
        assert factor() == 2.0


@pytest.mark.parametrize("devices", [1, 2])
def test_steps_on_devices_trace_the_forms_of_their_platform(monkeypatch, devices):
    def fail(*_, **__):
        pytest.fail("traced")

    monkeypatch.setitem(FORMS, layers.dense, {"cpu": cpu.dense, "tpu": fail})
    layout = choose_layout(tiny_config(), devices)
    layout.lower_train_step()
    with use_forms(dense="tpu"), pytest.raises(pytest.fail.Exception, match="traced"):
        choose_layout(tiny_config(), devices).lower_train_step()


@pytest.mark.usefixtures("marked_forms")
def test_a_choice_of_one_operation_overrides_the_choice_for_all():
    with use_forms(PLAIN, dense="cpu"):
        assert factor() == 2.0


def test_a_platform_chosen_for_all_leaves_other_operations_plain():
    images, config = jnp.ones((1, 3, 3, 5), jnp.float32), LocalResponseNorm()

    def program(operation):
        return str(jax.make_jaxpr(lambda images: operation(images, config=config, towers=1))(images))

    with use_forms("cpu"):
        assert program(partial(run, layers.local_response_norm)) == program(layers.local_response_norm)


@pytest.mark.parametrize(
    ("every", "choices", "message"),
    [
        ("cpp", {}, "unknown form 'cpp': did you mean cpu?"),
        (
            None,
            {"max_pol": "cpu"},
            "unknown operation 'max_pol': did you mean max_pool?",
        ),
        (None, {"max_pool": "tpu"}, "unknown form of max_pool 'tpu': did you mean cpu?"),
    ],
)
def test_an_unknown_choice_is_refused(every, choices, message):
    with pytest.raises(UsageError) as error, use_forms(every, **choices):
        pass
    assert str(error.value) == message


@pytest.mark.usefixtures("marked_forms")
def test_jit_compiles_once_for_each_choice():
    traces = []

    @jax.jit
    def dense(units):
        traces.append(units)
        return run(layers.dense, units, KERNEL)

    found = []
    for form in ("cpu", "tpu", "cpu", "tpu"):
        with use_forms(dense=form):
            found.append(float(dense(UNITS)[0, 0]))
    assert found == [2.0, 3.0, 2.0, 3.0]
    assert len(traces) == 2


@pytest.mark.usefixtures("marked_forms")
def test_forms_are_chosen_under_pmap():
    dense = jax.pmap(lambda units: run(layers.dense, units, KERNEL))
    pair = jnp.stack([UNITS, UNITS])
    for form, mark in (("cpu", 2.0), ("tpu", 3.0)):
        with use_forms(dense=form):
            np.testing.assert_array_equal(dense(pair), mark * pair)


def test_the_gradient_of_a_dense_kernel_is_not_transposed_for_one_image():
    """XLA would transpose it column by column, which takes four times as long as the rest of a batch of one."""

    def loss(kernel, units, weights):
        return jnp.vdot(cpu.dense(units, kernel), weights)

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((7, 5), (1, 7), (1, 5))]
    program = jax.jit(jax.grad(loss)).lower(*shapes).compile().as_text()
    assert "f32[7,5]" in program
    assert " transpose(" not in program
