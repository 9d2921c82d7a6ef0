from __future__ import annotations

import dataclasses
import json

import pytest

from alexnet_jax.config.serialize import config_from_json, config_to_json
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import PRESETS, preset


def changed(path, value):
    """The JSON of a config, with another value at ``path``."""
    content = json.loads(config_to_json(preset("quickstart")))
    *parents, name = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place = content
    for parent in parents:
        place = place[parent]
    place[name] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("epochs", "8", "epochs is '8': use a whole number"),
        ("epochs", 1.5, "epochs is 1.5: use a whole number"),
        ("epochs", 8.0, "epochs is 8.0: use a whole number"),
        ("epochs", True, "epochs is True: use a whole number"),
        ("epochs", None, "epochs is None: use a whole number"),
        ("epochs", 0, "epochs is 0: use a number above 0"),
        ("augment.horizontal_flip", 1, "augment.horizontal_flip is 1: use true or false"),
        ("augment.horizontal_flip", "false", "augment.horizontal_flip is 'false': use true or false"),
        ("optimizer.momentum", "0.9", "optimizer.momentum is '0.9': use a number"),
        ("optimizer.momentum", True, "optimizer.momentum is True: use a number"),
        ("optimizer.momentum", 10**400, "optimizer.momentum is 1000000000"),
        ("optimizer.momentum", 1.5, "optimizer.momentum is 1.5: use a fraction"),
        ("optimizer.momentum", float("nan"), "optimizer.momentum is nan: use a f"),
        ("optimizer.frozen", "conv1", "optimizer.frozen is 'conv1': use a list"),
        ("optimizer.frozen", ["conv1", 2], "optimizer.frozen.1 is 2: use a string in quotes"),
        ("schedule.layer_rates", [["fc8", 1.0]], "schedule.layer_rates.0 is ['fc8', 1.0]: use a list of 3"),
        ("dtype", "float16", "dtype is 'float16': use 'float32' or 'bfloat16'"),
        ("data.dataset", None, "data.dataset is None: use a string in quotes"),
        ("data", [], "data is []: use a JSON object"),
        ("model", 7, "model is 7: use a JSON object"),
        ("model.convs", {}, "model.convs is {}: use a list"),
        ("model.convs.0", 7, "model.convs.0 is 7: use a JSON object"),
        ("model.convs.0.features", "96", "model.convs.0.features is '96': use a whole number"),
        ("model.convs.0.featurs", 96, "unknown field 'model.convs.0.featurs': did you mean model.convs.0.features"),
        ("model.convs.1", {}, "model.convs.1.features is missing"),
        ("optimizer.learning_rat", 1.0, "unknown field 'optimizer.learning_rat': did you mean optimizer.learning_rate"),
        ("seeed", 1, "unknown field 'seeed': did you mean seed"),
        ("augment.random_resized_crop", 1, "unknown field 'augment.random_resized_crop'"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_works(path, value, message):
    with pytest.raises(UsageError) as refused:
        config_from_json(changed(path, value))
    assert str(refused.value).startswith(message)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 9999, "[]", "null", '"text"'])
def test_text_that_is_no_config_is_refused(text):
    with pytest.raises(UsageError, match=r"^not JSON \(.*\)$|is no config: use a JSON object$"):
        config_from_json(text)


@pytest.mark.parametrize("name", PRESETS)
def test_every_field_with_a_default_may_be_missing(name):
    """A config of an earlier version does not have the fields that later versions add."""
    content = json.loads(config_to_json(preset(name)))
    for field in dataclasses.fields(preset(name)):
        if field.default is not dataclasses.MISSING:
            without = {key: value for key, value in content.items() if key != field.name}
            expected = dataclasses.replace(preset(name), **{field.name: field.default})
            assert config_from_json(json.dumps(without)) == expected


def test_whole_numbers_are_numbers_and_lists_become_tuples():
    config = config_from_json(changed("schedule.epochs", [1, 2]))
    assert config.schedule.epochs == (1.0, 2.0)
    assert isinstance(hash(config), int)
