import dataclasses
import errno
import os
import shutil
from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import orbax.checkpoint.experimental.v1 as orbax
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.runs.checkpoint import Checkpoints, array_digests, tree_digest
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.lease import Lease
from alexnet_jax.training.steps.state import TrainState, abstract_train_state, create_train_state
from tests.helpers.nets import tiny_config

# when a file is damaged, Orbax's readers leave callbacks behind for an event loop that they have closed
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.device_get(jax.jit(partial(create_train_state, tiny_config()))(jax.random.key(0)))


@pytest.fixture(scope="module")
def template(tmp_path_factory, state):
    directory = tmp_path_factory.mktemp("template") / "checkpoints"
    with CheckpointWriter(directory) as writer:
        for step in range(1, 6):
            writer.save(at(state, step), keep=2)
    return directory


@pytest.fixture
def saved(tmp_path, template):
    """A directory with the checkpoints that are kept of steps 1 to 5, if step 2 is the best."""
    return Path(shutil.copytree(template, tmp_path / "checkpoints"))


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


def empty_the_digests(step):
    (step / "digests" / "data.json").write_text("")


def replace_it_by_a_file(step):
    shutil.rmtree(step)
    step.write_text("")


DAMAGES = [flip_a_bit, truncate_a_file, delete_the_metadata, empty_the_digests, replace_it_by_a_file]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_restored(saved, state, damage):
    damage(saved / "5")
    warnings = []
    restored = Checkpoints(saved, warn=warnings.append).restore(state)
    assert tree_digest(restored) == tree_digest(at(state, 4))
    assert len(warnings) == 1
    assert f"{saved / '5'} is damaged" in warnings[0]
    with CheckpointWriter(saved) as writer:
        assert writer.set_aside_after(4) == [saved / "5.damaged"]
        writer.save(at(state, 5))  # the run reaches step 5 again
    assert tree_digest(Checkpoints(saved, warn=pytest.fail).restore(state)) == tree_digest(at(state, 5))


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b'{"top1_error": "?"}', b"[1]"])
@pytest.mark.parametrize("name", ["metrics/metrics", "_CHECKPOINT_METADATA"])
def test_a_garbled_file_of_an_old_checkpoint_breaks_no_other(saved, state, name, content):
    for step in (2, 4):
        file = saved / str(step) / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    checkpoints = Checkpoints(saved, warn=pytest.fail)
    assert checkpoints.restore(state).step == 5
    with CheckpointWriter(saved) as writer:
        writer.save(at(state, 6), keep=2)
    assert checkpoints.restore(state).step == 6
    assert steps_in(saved) == [2, 5, 6]


def test_every_file_of_a_checkpoint_may_be_empty(saved, state):
    """An empty file leaves the state intact or is damage. No other error occurs."""
    for file in [file for file in (saved / "5").rglob("*") if file.is_file()]:
        content = file.read_bytes()
        file.write_bytes(b"")
        restored = Checkpoints(saved, warn=lambda line: None).restore(state)
        assert tree_digest(restored) == tree_digest(at(state, int(restored.step))), file
        file.write_bytes(content)


def fails_with(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number), "some/file")

    return fail


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOSPC, errno.ESTALE])
def test_a_file_that_the_system_cannot_read_is_no_damage(saved, state, monkeypatch, number):
    truncate_a_file(saved / "5")  # what Orbax finds if a read fails half-way
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails_with(number))
        with pytest.raises(AlexNetError, match=r"checkpoints/5: cannot be read .* nothing was changed"):
            Checkpoints(saved, warn=pytest.fail).restore(state)
    assert steps_in(saved) == [2, 4, 5]


def test_a_read_error_that_has_passed_is_no_damage(saved, state, monkeypatch):
    load, calls = orbax.load_checkpointables, []

    def fail_once(*arguments):
        calls.append(1)
        return fails_with(errno.EIO)() if len(calls) == 1 else load(*arguments)

    monkeypatch.setattr(orbax, "load_checkpointables", fail_once)
    assert Checkpoints(saved, warn=pytest.fail).restore(state).step == 5


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_skipped(saved, state, monkeypatch):
    load = orbax.load_checkpointables

    def delete_first(path, abstract):
        if path.name == "5":
            shutil.rmtree(saved / "5")
        return load(path, abstract)

    monkeypatch.setattr(orbax, "load_checkpointables", delete_first)
    assert Checkpoints(saved, warn=pytest.fail).restore(state).step == 4


def test_damaged_checkpoints_are_set_aside_without_replacing_others(saved, state):
    (saved / "5.damaged").mkdir()
    writer = CheckpointWriter(saved)
    assert writer.set_aside_after(2) == [saved / "4.damaged", saved / "5.damaged1"]
    assert Checkpoints(saved, warn=pytest.fail).restore(state).step == 2


def test_a_checkpoint_of_other_shapes_is_refused(saved):
    config = tiny_config()
    other = abstract_train_state(dataclasses.replace(config, model=dataclasses.replace(config.model, classes=4)))
    message = r"5: does not fit config.json, by which .*fc8/bias is float32\(4,\) and not float32\(10,\)"
    with pytest.raises(AlexNetError, match=message):
        Checkpoints(saved, warn=pytest.fail).restore(other)


def test_no_readable_checkpoint_is_an_error(saved, state):
    for step in steps_in(saved):
        flip_a_bit(saved / str(step))
    with pytest.raises(AlexNetError, match="no checkpoint can be read"):
        Checkpoints(saved, warn=lambda line: None).restore(state)


def test_chosen_steps_are_kept_as_well(tmp_path, state):
    with CheckpointWriter(tmp_path, is_kept=lambda step: step % 3 == 0) as writer:
        for step in range(1, 9):
            writer.save(at(state, step), keep=2)
    assert steps_in(tmp_path) == [2, 3, 6, 7, 8]


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


def test_a_failed_write_is_one_line(tmp_path, state, monkeypatch):
    directory = tmp_path / "checkpoints"
    writer = CheckpointWriter(directory)
    writer.save(at(state, 1))
    writer.wait()
    monkeypatch.setattr(Path, "rename", fails_with(errno.ENOSPC))
    writer.save(at(state, 2))
    with pytest.raises(
        AlexNetError, match=r"could not be written \(no space is left\).* resumes from the previous one$"
    ):
        writer.wait()
    assert steps_in(directory) == [1]


def test_every_file_is_on_disk_before_a_checkpoint_gets_its_name(tmp_path, state, monkeypatch):
    flushed, missing = set(), []
    fsync, rename = os.fsync, Path.rename

    def record(descriptor):
        flushed.add(os.stat(descriptor).st_ino)
        fsync(descriptor)

    def check(path, target):
        missing.extend(file for file in [path, *path.rglob("*")] if file.stat().st_ino not in flushed)
        return rename(path, target)

    with CheckpointWriter(tmp_path) as writer:
        monkeypatch.setattr(os, "fsync", record)
        monkeypatch.setattr(Path, "rename", check)
        writer.save(at(state, 1))
        writer.wait()
    assert steps_in(tmp_path) == [1]
    assert not missing
    assert tmp_path.stat().st_ino in flushed


def test_a_writer_that_lost_its_lease_leaves_the_directory_as_it_is(saved, state):
    class Lost(Lease):
        def check(self):
            raise AlexNetError("taken over")

    with pytest.raises(AlexNetError, match=r"^taken over$"), CheckpointWriter(saved, Lost(saved)) as writer:
        writer.save(at(state, 6))
    assert steps_in(saved) == [2, 4, 5]
    assert not [path for path in saved.iterdir() if "unfinished" in path.name]


def test_the_digest_depends_on_every_value_and_shape(state):
    params = state.params
    digest = tree_digest(params)
    assert digest == tree_digest(jax.tree.map(np.copy, params))
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"] + 1}})
    assert digest != tree_digest(params | {"fc8": {**params["fc8"], "bias": params["fc8"]["bias"].reshape(2, -1)}})
