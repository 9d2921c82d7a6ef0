import errno
from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.checkpoint import Checkpoints, array_digests, tree_digest
from alexnet_jax.training.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.state import TrainState, create_train_state
from tests.helpers.nets import tiny_config

# when a file is damaged, Orbax's readers leave callbacks behind for an event loop that they have closed
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.device_get(jax.jit(partial(create_train_state, tiny_config()))(jax.random.key(0)))


@pytest.fixture
def saved(tmp_path, state):
    """A directory with the checkpoints that are kept of steps 1 to 5, if step 2 is the best."""
    with CheckpointWriter(tmp_path / "checkpoints") as writer:
        for step in range(1, 6):
            writer.save(at(state, step), keep=2)
    return tmp_path / "checkpoints"


def at(state, step):
    """A state of ``step`` that differs from those of other steps."""
    moved = jax.tree.map(lambda leaf: leaf + np.asarray(step, leaf.dtype), state.params)
    return state.replace(step=np.int32(step), params=moved)


def steps_in(directory):
    return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())


def test_the_best_and_the_two_latest_are_kept_and_restored_exactly(saved, state):
    assert steps_in(saved) == [2, 4, 5]
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    for first, step in ((None, 5), (2, 2)):
        restored = checkpoints.restore(state, first)
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
    for first, step in ((None, 2), (1, 1)):
        assert tree_digest(checkpoints.restore(state, first)) == tree_digest(at(state, step))


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
    restored = Checkpoints(saved, warn=warnings.append).restore(state)
    assert tree_digest(restored) == tree_digest(at(state, 4))
    assert len(warnings) == 1
    assert f"{saved / '5'} is damaged" in warnings[0]
    with CheckpointWriter(saved) as writer:
        writer.discard_after(4)
        writer.save(at(state, 5))  # the run reaches step 5 again
    assert tree_digest(Checkpoints(saved, warn=pytest.fail).restore(state)) == tree_digest(at(state, 5))


def test_no_readable_checkpoint_is_an_error(saved, state):
    for step in steps_in(saved):
        flip_a_bit(saved / str(step))
    with pytest.raises(AlexNetError, match="no checkpoint can be read"):
        Checkpoints(saved, warn=lambda line: None).restore(state)


def test_an_unfinished_checkpoint_is_skipped_and_deleted_by_a_writer_only(saved, state):
    unfinished = [saved / name for name in ("6.orbax-checkpoint-tmp", "6.unfinished", "3.deleted")]
    for directory in unfinished:
        directory.mkdir()
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    assert checkpoints.restore(state).step == 5
    assert all(directory.exists() for directory in unfinished)
    with CheckpointWriter(saved) as writer:
        writer.save(at(state, 6))
    assert not any(directory.exists() for directory in unfinished)
    assert checkpoints.restore(state).step == 6


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failed_write_is_one_line(tmp_path, state, monkeypatch):
    directory = tmp_path / "checkpoints"
    writer = CheckpointWriter(directory)
    writer.save(at(state, 1))
    writer.wait()
    monkeypatch.setattr(Path, "rename", full_disk)
    writer.save(at(state, 2))
    with pytest.raises(
        AlexNetError, match=r"could not be written \(no space is left\).* resumes from the previous one$"
    ):
        writer.wait()
    assert steps_in(directory) == [1]


def test_the_digest_depends_on_every_value_and_shape(state):
    params = state.params
    digest = tree_digest(params)
    assert digest == tree_digest(jax.tree.map(np.copy, params))
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"] + 1}})
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"].reshape(2, -1)}})
