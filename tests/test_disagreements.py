import pytest

from alexnet_jax.presets import disagreements


@pytest.fixture(scope="module")
def page():
    return disagreements.page()


def test_page_matches_the_configs(page):
    assert disagreements.PAGE.read_text() == page, "run disagreements.py again"


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("model.convs.N.padding", "| 2 · 2 · 1 · 1 · 1 | torchvision, single_tower |"),
        ("model.local_response_norm.divide_alpha", "| False | paper |"),
        ("model.convs.N.shared_kernel", "| True · True · True | cifar10_18pct |"),
        ("model.dropout.place", "| before | torchvision, single_tower, single_tower_227 |"),
        ("optimizer.rule", "| optax_sgd | imagenet_torchvision, imagenet_shili8 |"),
        ("epochs", "| 10 | imagenet_shili8 |"),
        ("data.validation_split", "| validation | imagenet_paper |"),
        ("augment.statistics", "| imagenet | imagenet_torchvision, imagenet_shili8 |"),
        ("optimizer.layer_decay", "| fc4 1.0 | cifar10_18pct |"),
        ("augment.pca_colour_noise_scale", "| eigenvalue | imagenet_paper |"),
        ("schedule.biases", "| steps | imagenet_one_weird_trick |"),
    ],
)
def test_table_of_a_field_shows_who_uses_each_value(page, field, row):
    parts = page.split(f"### `{field}`\n")[1:]
    assert any(row in part.split("\n### ")[0].splitlines() for part in parts)


def test_every_field_has_a_description(page):
    for part in page.split("\n### ")[1:]:
        assert len(part.splitlines()[2]) > 10, part
