from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.checkpoint import Checkpoints, tree_digest
from alexnet_jax.training.state import TrainState, create_train_state
from tests.helpers.nets import tiny_config

# Orbax's readers leave callbacks behind for an event loop that they have closed, when a file is damaged
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.device_get(jax.jit(partial(create_train_state, tiny_config()))(jax.random.key(0)))


@pytest.fixture
def saved(tmp_path, state):
    """A folder with steps 1 to 5, of which 2 has the smallest error."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", warn=print)
    for step, error in enumerate((0.5, 0.3, None, 0.4, 0.6), start=1):
        checkpoints.save(at(state, step), error)
    checkpoints.wait()
    return tmp_path / "checkpoints"


def at(state, step):
    moved = jax.tree.map(lambda leaf: leaf + np.asarray(step, leaf.dtype), state.params)
    return state.replace(step=np.int32(step), params=moved)


def test_the_best_and_the_latest_are_kept_and_come_back_exactly(saved, state):
    assert sorted(int(entry.name) for entry in saved.iterdir()) == [2, 4, 5]
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    for which, step in (("latest", 5), ("best", 2)):
        restored = checkpoints.restore(state, which)
        assert tree_digest(restored) == tree_digest(at(state, step))


def test_nothing_saved_is_none(tmp_path, state):
    assert Checkpoints(tmp_path / "none", warn=pytest.fail).restore(state) is None


def data_files(step: Path):
    """Files with array data, largest first."""
    files = [file for file in (step / "state").rglob("*") if file.is_file() and file.parent.name == "d"]
    return sorted(files, key=lambda file: -file.stat().st_size)


def flip(step):
    file = data_files(step)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


def truncate(step):
    file = data_files(step)[0]
    file.write_bytes(file.read_bytes()[:100])


def lose(step):
    (step / "state" / "_METADATA").unlink()


@pytest.mark.parametrize("damage", [flip, truncate, lose])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(saved, state, damage):
    damage(saved / "5")
    said = []
    checkpoints = Checkpoints(saved, warn=said.append)
    restored = checkpoints.restore(state)
    assert tree_digest(restored) == tree_digest(at(state, 4))
    assert len(said) == 1
    assert f"{saved / '5'} is damaged" in said[0]
    checkpoints.discard_after(4)
    checkpoints.save(at(state, 5), None)  # the run comes by again
    checkpoints.wait()
    assert tree_digest(Checkpoints(saved, warn=pytest.fail).restore(state)) == tree_digest(at(state, 5))


def test_no_readable_checkpoint_is_an_error(saved, state):
    for step in (2, 4, 5):
        flip(saved / str(step))
    with pytest.raises(AlexNetError, match="no checkpoint can be read"):
        Checkpoints(saved, warn=lambda line: None).restore(state)


def test_the_digest_sees_every_part_of_a_tree(state):
    params = state.params
    digest = tree_digest(params)
    assert digest == tree_digest(jax.tree.map(np.copy, params))
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"] + 1}})
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"].reshape(2, -1)}})
