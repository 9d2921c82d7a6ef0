import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.training.steps.accumulation import accumulate

KEY = jax.random.key(3)
BATCH = {"image": jnp.arange(12, dtype=jnp.float32).reshape(6, 2), "label": jnp.arange(6)}


def gradients_of(batch, key):
    """The mean image of a batch as the gradient of one parameter, and a random number as that of another."""
    gradients = {"mean": batch["image"].mean(axis=0), "noise": jax.random.uniform(key)}
    count = jnp.float32(len(batch["label"]))
    statistics = {"bn2": {"mean": batch["label"][:1].astype(jnp.float32)}}
    return gradients, ({"loss": batch["label"].astype(jnp.float32).mean(), "count": count}, statistics)


def test_parts_are_averaged_and_counts_added():
    gradients, (metrics, statistics) = accumulate(gradients_of, BATCH, KEY, 3)
    np.testing.assert_allclose(gradients["mean"], BATCH["image"].mean(axis=0))
    assert (float(metrics["loss"]), float(metrics["count"])) == (2.5, 6)
    np.testing.assert_array_equal(statistics["bn2"]["mean"], [1.0])  # the mean of 0, 1 and 2


def test_each_part_has_another_key():
    gradients, _ = accumulate(gradients_of, BATCH, KEY, 3)
    want = np.mean([jax.random.uniform(jax.random.fold_in(KEY, part)) for part in range(3)])
    np.testing.assert_allclose(gradients["noise"], want, rtol=1e-6)


def test_one_part_is_the_function_itself():
    gradients, _ = accumulate(gradients_of, BATCH, KEY, 1)
    assert gradients["noise"] == jax.random.uniform(KEY)


def test_only_one_part_is_in_memory_at_a_time():
    """XLA keeps the activations of all parts of an unrolled loop."""

    def gradients_of(batch, key):
        weights = jnp.ones((2, 4096), jnp.float32)
        return jax.grad(lambda weights: jnp.tanh(jnp.tanh(batch["image"] @ weights)).mean())(weights), ({}, {})

    batch = {"image": jnp.ones((512, 2), jnp.float32)}
    run = jax.jit(accumulate, static_argnums=(0, 3))
    whole, split = (
        run.lower(gradients_of, batch, KEY, parts).compile().memory_analysis().temp_size_in_bytes for parts in (1, 8)
    )
    assert split < whole / 4
