from pathlib import Path

import pytest

from tests.helpers.experiments import experiment

SCRIPT = Path(__file__).parents[2] / "experiments" / "disagreements.py"


@pytest.fixture(scope="module")
def disagreements():
    with experiment("disagreements") as module:
        yield module


def test_page_matches_the_configs(disagreements):
    assert disagreements.PAGE.read_text() == disagreements.page(), f"run {SCRIPT.name} again"


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("model.convs.N.padding", "| 2 · 2 · 1 · 1 · 1 | torchvision, single_tower |"),
        ("model.local_response_norm.divide_alpha", "| False | paper |"),
        ("model.max_pool.rounding", "| up | original, one_gpu, caffe_alexnet, caffenet |"),
        ("model.dropout.place", "| before | torchvision, single_tower, single_tower_227 |"),
        ("optimizer.rule", "| optax_sgd | imagenet_torchvision |"),
        ("augment.pca_colour_noise_scale", "| eigenvalue | imagenet_paper |"),
        ("schedule.biases", "| stay | imagenet_original |"),
    ],
)
def test_table_of_a_field_shows_who_uses_each_value(disagreements, field, row):
    part = disagreements.page().split(f"### `{field}`\n")[1].split("\n### ")[0]
    assert row in part.splitlines()


def test_every_field_has_a_description(disagreements):
    for part in disagreements.page().split("\n### ")[1:]:
        assert len(part.splitlines()[2]) > 10, part
