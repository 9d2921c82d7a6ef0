import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.training.evaluation import evaluate_ensemble
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.steps.metrics import summarize
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.sources import Examples
from tests.training.steps.compiled import CONFIG, predict


def test_evaluate_ensemble_averages_probabilities(batch):
    state = create_train_state(CONFIG, jax.random.key(0))
    other = state.replace(params=jax.tree.map(lambda leaf: leaf[..., ::-1], state.params))
    layout, keys = choose_layout(CONFIG, 1), range(8)
    examples = [{"image": np.asarray(batch["image"][key]), "label": np.int32(key)} for key in keys]
    found = evaluate_ensemble([(state, layout), (other, layout)], Examples(examples))
    scores = [predict(item, batch["image"], config=CONFIG) for item in (state, other)]
    mean = jnp.log((jnp.exp(scores[0]) + jnp.exp(scores[1])) / 2)
    want = summarize(mean, batch["label"])
    assert found == {name: pytest.approx(float(value), rel=1e-5) for name, value in want.items()}
    assert found["loss"] != pytest.approx(float(summarize(scores[0], batch["label"])["loss"]))
