"""Runs on an object store, with a server of S3's protocol on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.stores.fetch import cache_place
from alexnet_jax.stores.store import Store
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs import run_mirror
from alexnet_jax.training.runs.lease import this_process
from alexnet_jax.training.runs.store_lease import StoreLease
from alexnet_jax.weights.read import load_run
from tests.helpers.command import alexnet
from tests.helpers.processes import ALEXNET
from tests.helpers.short_runs import OPTIONS, fast_runs, write_pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module", autouse=True)
def _fast():
    with fast_runs(lambda rows, config, path: path.write_bytes(b"curves")):
        yield


@pytest.fixture(scope="module")
def local_run(data, tmp_path_factory):
    """The run directory of a run of this machine that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("local") / "run"
    done = alexnet("train", "--workdir", workdir, "--data.dataset", data, *OPTIONS)
    return workdir, digest(done)


@pytest.fixture
def url(object_store):
    return f"{object_store.url}/runs/a"


@pytest.fixture
def train(data, url):
    return lambda *options: alexnet("train", "--workdir", url, "--data.dataset", data, *OPTIONS, *options)


@pytest.fixture
def other_machine(tmp_path, monkeypatch):
    """Continues with an empty cache."""
    return lambda: monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))


def digest(done):
    assert done.returncode == 0, done.stderr
    return re.search("SHA-256 (.*)", done.stdout)[1]


def steps(store, url):
    return sorted(map(int, json.loads(store.files.cat_file(f"{url}/index.json"))["checkpoints"]))


def stored_steps(store, url):
    return sorted({int(name.split("/")[0]) for name in store.names(f"{url}/checkpoints")})


def rows(path):
    """The rows of a run without what is measured."""
    measured = ("images_per_second", "input_wait", "time")
    return [{name: value for name, value in row.items() if name not in measured} for row in map(json.loads, path)]


class Killed(BaseException):
    """The process is gone: nothing of it handles this."""


def killed_at(monkeypatch, step, run):
    """Runs ``run`` until ``step``, where its process is killed."""
    taken, train_steps = [], Layout.train_steps

    def take(*arguments):
        taken.append(1)
        if len(taken) == step:
            raise Killed
        return train_steps(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Layout, "train_steps", take)
        with pytest.raises(Killed):
            run()


def test_a_run_on_a_store_is_the_run_of_this_machine(train, object_store, url, local_run):
    done = train()
    assert digest(done) == local_run[1]
    assert f"\nworkdir   {url}\n" in done.stdout
    assert f"alexnet train --workdir {url} --epochs 10\n" in done.stdout
    assert str(os.environ["XDG_CACHE_HOME"]) not in done.stdout
    local = [file.relative_to(local_run[0]).as_posix() for file in local_run[0].rglob("*") if file.is_file()]
    files = {name for name in local if not name.startswith((".", "checkpoints"))}
    assert {name for name in object_store.names(url) if not name.startswith("checkpoints")} == files | {"index.json"}
    assert steps(object_store, url) == stored_steps(object_store, url)
    assert steps(object_store, url)[-2:] == [12, 15]
    stored = rows(object_store.files.cat_file(f"{url}/metrics.jsonl").splitlines())
    assert stored == rows((local_run[0] / "metrics.jsonl").read_bytes().splitlines())


@pytest.mark.slow
def test_a_killed_run_goes_on_on_another_machine(
    train, object_store, url, local_run, monkeypatch, other_machine, tmp_path
):
    killed_at(monkeypatch, 11, train)
    shutil.rmtree(tmp_path / "cache")
    assert steps(object_store, url)[-1] == 8
    other_machine()
    done = train()
    assert "resumes at step 8" in done.stdout
    assert digest(done) == local_run[1]
    assert steps(object_store, url)[-2:] == [12, 15]


@pytest.mark.slow
def test_an_upload_that_breaks_off_leaves_the_checkpoints_before_it(
    train, object_store, url, local_run, other_machine, tmp_path, monkeypatch
):
    object_store.refused = "PUT .*/checkpoints/(12|15)/state/m.*"
    done = train()
    note = "is not allowed (Access Denied); check the credentials and their permissions"
    assert done.stdout.count(note) == 1
    assert f"note      {url}: {note}; the run continues, and the next checkpoint tries again" in done.stdout
    copy = next((tmp_path / "cache/alexnet_jax/runs").glob("bucket*"))
    assert done.returncode == 1
    assert done.stderr == (
        f"alexnet: error: {url}: {note}; the run is in {copy}, and the same command copies the rest to the store\n"
    )
    assert steps(object_store, url)[-1] == 8
    assert {12, 15} <= {*stored_steps(object_store, url)}  # in part
    object_store.refused = None
    assert load_run(url).step == 8
    other_machine()
    done = train()
    assert ("resumes at step 8" in done.stdout, digest(done)) == (True, local_run[1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = train("--epochs", 6)
    assert f"note      {url} is newer than the copy in {copy}, and replaces it\n" in done.stdout
    assert steps(object_store, url)[-2:] == [16, 18]


@pytest.mark.slow
def test_the_same_command_copies_what_a_store_did_not_take(train, object_store, url, local_run):
    object_store.refused = "PUT .*/checkpoints/.*"
    assert train().returncode == 1
    assert steps(object_store, url) == []
    object_store.refused = None
    done = train()
    assert ("from the start" in done.stdout, digest(done)) == (False, local_run[1])
    assert steps(object_store, url)[-2:] == [12, 15]


@pytest.mark.slow
def test_a_store_that_works_again_gets_everything_at_the_next_checkpoint(train, object_store, url, monkeypatch):
    object_store.refused = "PUT .*/checkpoints/4/.*"
    train_steps = Layout.train_steps

    def repair(*arguments):
        if steps(object_store, url) == [] and any("checkpoints/4/" in each for each in object_store.requests):
            object_store.refused = None
        return train_steps(*arguments)

    monkeypatch.setattr(Layout, "train_steps", repair)
    done = train()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"note      {url} is up to date again\n" in done.stdout


@pytest.mark.slow
def test_a_damaged_checkpoint_is_not_used(train, object_store, url, local_run, other_machine, capsys):
    assert train().returncode == 0
    name = next(name for name in object_store.names(f"{url}/checkpoints/15") if "/d/" in name)
    object_store.files.pipe_file(f"{url}/checkpoints/15/{name}", b"damaged")
    assert load_run(url).step == 12
    assert f"alexnet: warning: {url}/checkpoints/15/: is damaged, trying another" in capsys.readouterr().err
    other_machine()
    done = train()
    assert ("resumes at step 12" in done.stdout, digest(done)) == (True, local_run[1])


@pytest.mark.slow
def test_a_run_that_was_copied_to_a_store_goes_on(train, object_store, url, local_run):
    object_store.put(local_run[0], url)
    done = train("--epochs", 6)
    assert "resumes at step 15" in done.stdout
    assert steps(object_store, url)[-2:] == [16, 18]


@pytest.mark.slow
def test_overwrite_deletes_the_run_there_and_nothing_else(train, object_store, url, local_run):
    assert train().returncode == 0
    object_store.files.pipe_file(f"{url}/notes.txt", b"mine")
    (cache_place("runs", url) / "unreadable.txt").write_text("of the first run")
    object_store.files.pipe_file(f"{url}/unreadable.txt", b"of the first run")
    done = train("--overwrite", "--epochs", 2)
    assert "from the start" in done.stdout
    assert steps(object_store, url) == stored_steps(object_store, url) == [4, 6]
    names = object_store.names(url)
    assert "notes.txt" in names
    assert "unreadable.txt" not in names


@pytest.mark.slow
def test_another_run_there_is_refused(train, url):
    assert train("--epochs", 1).returncode == 0
    done = train("--seed", 1)
    assert done.returncode == 2
    assert done.stderr.startswith(f"alexnet: error: {url} holds another run: seed was 0 and is now 1")


def test_options_that_need_a_directory_refuse_a_url(train, url):
    done = train("--profile", "s3://bucket/trace")
    assert done.returncode == 2
    assert done.stderr == "alexnet: error: --profile is 's3://bucket/trace': use a directory of this machine\n"


@pytest.mark.slow
def test_other_commands_read_the_run_and_copy_it_once(train, object_store, url, data, tmp_path):
    assert train().returncode == 0
    shutil.rmtree(tmp_path / "cache/alexnet_jax/runs")
    first = alexnet("predict", url, data / "cat/0.png")
    assert first.returncode == 0
    assert first.stderr.startswith(f"copying {url}: ")
    object_store.requests.clear()
    second = alexnet("predict", url, data / "cat/0.png")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert [path for path in object_store.gets() if "index.json" not in path] == []
    done = alexnet("evaluate", url, "--checkpoint", 12, "--json", f"{object_store.url}/errors.json")
    assert done.returncode == 0
    found = json.loads(object_store.files.cat_file(f"{object_store.url}/errors.json"))
    assert (found["nets"], found["steps"]) == ([url], [12])
    done = alexnet("evaluate", url, "--checkpoint", "best")
    best = max(steps(object_store, url), key=lambda step: (-error(object_store, url, step), step))
    assert f"step {best}," in done.stdout
    done = alexnet("evaluate", url, "--checkpoint", 7)
    assert done.stderr.startswith(f"alexnet: error: --checkpoint is 7: {url} has the checkpoints of steps ")


def error(store, url, step):
    found = map(json.loads, store.files.cat_file(f"{url}/metrics.jsonl").splitlines())
    return next((row["top1_error"] for row in found if (row["step"], row["split"]) == (step, "validation")), 2)


class TestLease:
    @pytest.fixture
    def store(self, url):
        return Store(url)

    @pytest.fixture
    def elsewhere(self, store):
        """Writes the lease of a process on another machine."""

        def take():
            holder = dataclasses.replace(this_process(), host="other", machine="other", process=1)
            store.write("lease.json", json.dumps(dataclasses.asdict(holder)).encode())

        return take

    def test_a_second_machine_is_refused(self, elsewhere, train, url, object_store):
        elsewhere()
        done = train()
        assert done.returncode == 2
        assert done.stderr == (
            f"alexnet: error: {url}: process 1 on other is training this run; wait for its end, stop it, or use "
            "another --workdir (if that machine crashed, wait 120 seconds)\n"
        )
        assert not any(name in object_store.names(url) for name in ("index.json", "config.json"))

    @pytest.mark.slow
    def test_a_lease_that_is_not_renewed_expires(self, store, elsewhere):
        elsewhere()
        time.sleep(2.1)
        with StoreLease(store, duration=1) as lease:
            lease.check()
        assert store.list() == {}

    @pytest.mark.slow
    def test_a_holder_renews_it(self, store):
        with StoreLease(store, duration=1):
            time.sleep(2.5)
            with pytest.raises(UsageError, match="is training this run"), StoreLease(store, duration=1):
                pass

    def test_of_two_that_take_an_expired_lease_at_once_one_gets_it(self, store, elsewhere, monkeypatch):
        monkeypatch.setattr(Store, "delete", lambda *_: elsewhere())
        with pytest.raises(UsageError, match="process 1 on other is training this run"), StoreLease(store):
            pass

    @pytest.mark.slow
    def test_a_run_that_lost_it_ends_and_writes_nothing_more(self, train, url, object_store, elsewhere, monkeypatch):
        train_steps, taken = Layout.train_steps, []

        def lose(*arguments):
            taken.append(1)
            if len(taken) == 10:
                elsewhere()
            return train_steps(*arguments)

        monkeypatch.setattr(Layout, "train_steps", lose)
        done = train()
        assert done.returncode == 1
        assert done.stderr.startswith(f"alexnet: error: {url}: process 1 on other has taken over this run, while")
        assert steps(object_store, url)[-1] <= 8
        assert stored_steps(object_store, url)[-1] <= 8
        assert Store(url).read("lease.json") is not None

    def test_a_second_process_of_this_machine_is_refused(self, url):
        with run_mirror.mirrored_run(url, print), pytest.raises(UsageError, match=r"another process on this machine"):
            run_mirror.mirrored_run(url, print).__enter__()

    def test_without_permission_to_write_nothing_is_trained(self, train, object_store):
        object_store.refused = "PUT .*"
        done = train()
        assert (done.returncode, done.stdout) == (1, "")
        assert "is not allowed" in done.stderr


@pytest.mark.slow
def test_a_run_that_the_system_kills_goes_on_on_another_machine(object_store, url, data, local_run, tmp_path):
    """In processes of their own. The first is killed while it writes checkpoints all the time."""
    options = [str(word) for word in (*OPTIONS, "--data.dataset", data, "--workdir", url)]
    first = subprocess.Popen([*ALEXNET, "train", *options, "--checkpoint_every", "1"], process_group=0)
    deadline = time.monotonic() + 280
    while not any(
        step >= 5 for step in (steps(object_store, url) if "index.json" in str(object_store.names()) else [])
    ):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    left = steps(object_store, url)[-1]
    assert left < 15
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "other")}
    done = subprocess.run([*ALEXNET, "train", *options], capture_output=True, text=True, env=environment, check=True)
    assert f"resumes at step {left}" in done.stdout
    assert local_run[1] in done.stdout


@pytest.mark.slow
def test_several_processes_train_one_run_on_a_store(object_store, url, data, tmp_path):
    """Each has a cache of its own, as on several hosts. Those that resume know the run only from the store."""

    def train_together(number, *options):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = [*ALEXNET, "train", "--workdir", url, *map(str, options), "--coordinator", f"localhost:{port}"]
        processes = [
            subprocess.Popen(
                [*command, "--processes", "2", "--process_id", str(index)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / f"{number} {index}")},
            )
            for index in range(2)
        ]
        outputs = [process.communicate(timeout=280) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        return outputs[0][0]

    train_together(1, *OPTIONS, "--layout", "data", "--devices", 2, "--epochs", 2, "--data.dataset", data)
    assert steps(object_store, url) == [4, 6]
    output = train_together(2, "--layout", "data", "--devices", 2, "--epochs", 3)
    assert "resumes at step 6" in output
    assert steps(object_store, url)[-2:] == [8, 9]
    assert Store(url).read("lease.json") is None
