from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.checkpoint import Checkpoints, array_digests, tree_digest
from alexnet_jax.training.state import TrainState, create_train_state
from tests.helpers.nets import tiny_config

# when a file is damaged, Orbax's readers leave callbacks behind for an event loop that they have closed
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.device_get(jax.jit(partial(create_train_state, tiny_config()))(jax.random.key(0)))


@pytest.fixture
def saved(tmp_path, state):
    """A directory with the checkpoints that are kept of steps 1 to 5. Step 2 has the smallest error."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", warn=print)
    for step, error in enumerate((0.5, 0.3, None, 0.4, 0.6), start=1):
        checkpoints.save(at(state, step), error)
    checkpoints.wait()
    return tmp_path / "checkpoints"


def at(state, step):
    """A state of ``step`` that differs from those of other steps."""
    moved = jax.tree.map(lambda leaf: leaf + np.asarray(step, leaf.dtype), state.params)
    return state.replace(step=np.int32(step), params=moved)


def steps_in(directory):
    return sorted(int(entry.name) for entry in directory.iterdir())


def test_the_best_and_the_two_latest_are_kept_and_restored_exactly(saved, state):
    assert steps_in(saved) == [2, 4, 5]
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    for which, step in (("latest", 5), ("best", 2)):
        restored = checkpoints.restore(state, which)
        assert tree_digest(restored) == tree_digest(at(state, step))


def test_an_empty_directory_restores_none(tmp_path, state):
    assert Checkpoints(tmp_path / "none", warn=pytest.fail).restore(state) is None


def test_checkpoints_of_orbax_version_0_are_read(tmp_path, state):
    directory = tmp_path / "checkpoints"
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["top1_error"], best_mode="min")
    with ocp.CheckpointManager(directory, item_names=("state", "digests"), options=options) as manager:
        for step, error in ((1, 0.3), (2, 0.5)):
            moved = jax.tree.map(np.asarray, at(state, step))
            items = {"state": ocp.args.StandardSave(moved), "digests": ocp.args.JsonSave(array_digests(moved))}
            manager.save(step, args=ocp.args.Composite(**items), metrics={"top1_error": error})
    checkpoints = Checkpoints(directory, warn=pytest.fail)
    for which, step in (("latest", 2), ("best", 1)):
        assert tree_digest(checkpoints.restore(state, which)) == tree_digest(at(state, step))


def data_files(step: Path):
    """Files with array data, largest first."""
    files = [file for file in (step / "state").rglob("*") if file.is_file() and file.parent.name == "d"]
    return sorted(files, key=lambda file: -file.stat().st_size)


def flip_a_bit(step):
    file = data_files(step)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


def truncate_a_file(step):
    file = data_files(step)[0]
    file.write_bytes(file.read_bytes()[:100])


def delete_the_metadata(step):
    (step / "state" / "_METADATA").unlink()


@pytest.mark.parametrize("damage", [flip_a_bit, truncate_a_file, delete_the_metadata])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_restored(saved, state, damage):
    damage(saved / "5")
    warnings = []
    checkpoints = Checkpoints(saved, warn=warnings.append)
    restored = checkpoints.restore(state)
    assert tree_digest(restored) == tree_digest(at(state, 4))
    assert len(warnings) == 1
    assert f"{saved / '5'} is damaged" in warnings[0]
    checkpoints.discard_after(4)
    checkpoints.save(at(state, 5), None)  # the run reaches step 5 again
    checkpoints.wait()
    assert tree_digest(Checkpoints(saved, warn=pytest.fail).restore(state)) == tree_digest(at(state, 5))


def test_no_readable_checkpoint_is_an_error(saved, state):
    for step in steps_in(saved):
        flip_a_bit(saved / str(step))
    with pytest.raises(AlexNetError, match="no checkpoint can be read"):
        Checkpoints(saved, warn=lambda line: None).restore(state)


def test_an_unfinished_checkpoint_is_skipped_and_deleted_by_a_writer_only(saved, state):
    unfinished = saved / "6.orbax-checkpoint-tmp"
    unfinished.mkdir()
    assert Checkpoints(saved, warn=pytest.fail, read_only=True).restore(state).step == 5
    assert unfinished.exists()
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    checkpoints.save(at(state, 6), None)
    checkpoints.wait()
    assert not unfinished.exists()
    assert checkpoints.restore(state).step == 6


def test_a_failed_write_is_one_line(tmp_path, state):
    directory = tmp_path / "checkpoints"
    checkpoints = Checkpoints(directory, warn=pytest.fail)
    directory.rmdir()
    directory.write_text("not a directory")
    with pytest.raises(AlexNetError, match=r"^.+ a checkpoint could not be written .* resumes from the previous one$"):
        checkpoints.save(at(state, 1), None)


def test_the_digest_depends_on_every_value_and_shape(state):
    params = state.params
    digest = tree_digest(params)
    assert digest == tree_digest(jax.tree.map(np.copy, params))
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"] + 1}})
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"].reshape(2, -1)}})
