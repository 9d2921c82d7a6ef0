"""One Weird Trick: a larger batch needs a larger learning rate.

uv run python -m experiments.batch_size
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import TrainConfig
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule

_FACTOR = 4


def arms(scale: Scale) -> Arms:
    """A batch four times as large with the same rate, with the rate of each rule, and with LARS."""
    base = baseline(scale)
    return {
        "small batch": base,
        "large batch, same rate": _scaled(base, 1),
        "large batch, rate x 2": _scaled(base, _FACTOR**0.5),
        "large batch, rate x 4": _scaled(base, _FACTOR),
        "large batch, LARS": _with_lars(_scaled(base, 1)),
    }


def _scaled(config: TrainConfig, factor: float) -> TrainConfig:
    rate = config.optimizer.learning_rate * factor
    return replace(
        config,
        batch_size=config.batch_size * _FACTOR,
        optimizer=replace(config.optimizer, learning_rate=rate),
        log_every=config.log_every // _FACTOR,
    )


def _with_lars(config: TrainConfig) -> TrainConfig:
    """LARS with a trust of 0.01 and a rate of 1, as its rates are relative to the weights."""
    return replace(config, optimizer=replace(config.optimizer, rule="lars", lars_trust=0.01, learning_rate=1.0))


EXPERIMENT = Experiment(
    name="batch_size",
    claim="A batch four times as large needs a larger learning rate",
    source="arXiv 1404.5997, section 3",
    printed="no figure for one factor",
    authors_log="none",
    arms=arms,
    rule=Rule(more="large batch, same rate", less="large batch, rate x 4", counts=0.01),
    scale_note=f"{CPU_NOTE} Batches of 32 and of 128.",
    discussion="The rate times 2, the square root of the factor, has the lowest mean. One Weird Trick names it as the "
    "rule of theory, and found that the factor itself works better in practice. LARS was run with one setting, which "
    "was not tuned.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
