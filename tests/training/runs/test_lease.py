from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading

import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.runs import lease as leases
from alexnet_jax.training.runs.lease import DURATION, Lease

HOLD = """
import sys
from pathlib import Path
from alexnet_jax.training.runs.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holding(tmp_path):
    """Another process that holds the lease of ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def change_holder(directory, **changes):
    file = directory / "lease.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def expire(directory, seconds=DURATION + 1):
    file = directory / "lease.json"
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def test_a_second_process_is_refused_with_the_first_ones_id_and_host(tmp_path, holding):
    with pytest.raises(UsageError) as refused, Lease(tmp_path):
        pass
    assert f"process {holding.pid} on {os.uname().nodename} is training this run" in str(refused.value)
    assert "wait for its end, stop it, or use another --workdir" in str(refused.value)
    holding.communicate("")
    with Lease(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path, holding):
    holding.kill()
    holding.wait()
    with Lease(tmp_path) as lease:
        lease.check()


def test_a_process_id_that_another_process_has_by_now_holds_nothing(tmp_path, holding):
    change_holder(tmp_path, started=1)
    with Lease(tmp_path):
        pass


def test_a_lease_of_another_host_counts_until_it_expires(tmp_path, holding):
    holding.kill()
    holding.wait()
    change_holder(tmp_path, host="elsewhere", machine="elsewhere 1")
    with pytest.raises(UsageError, match="on elsewhere is training"), Lease(tmp_path):
        pass
    expire(tmp_path, DURATION - 10)
    with pytest.raises(UsageError, match="on elsewhere is training"), Lease(tmp_path):
        pass
    expire(tmp_path)
    with Lease(tmp_path):
        pass


def test_the_holder_renews_its_lease(tmp_path):
    with Lease(tmp_path, duration=0.06):
        file = tmp_path / "lease.json"
        expire(tmp_path, 1000)
        before = file.stat().st_mtime
        while file.stat().st_mtime == before:
            pass


def test_a_holder_that_was_stopped_notices_that_another_has_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(Lease, "_renew", lambda lease: None)
    with Lease(tmp_path) as first:
        expire(tmp_path)
        first.check()  # nobody has taken over
        with Lease(tmp_path) as second:
            second.check()
            with pytest.raises(AlexNetError, match=rf"process {os.getpid()} on .* has taken over this run"):
                first.check()
            holder = (tmp_path / "lease.json").read_text()
            first.__exit__(None, None, None)
            assert (tmp_path / "lease.json").read_text() == holder
            second.check()


def test_only_one_of_several_takes_an_expired_lease(tmp_path, holding):
    holding.kill()
    holding.wait()
    leases_ = [Lease(tmp_path) for _ in range(8)]
    barrier, taken = threading.Barrier(len(leases_)), []

    def take(lease):
        barrier.wait()
        with contextlib.suppress(UsageError):
            taken.append(lease.__enter__())

    threads = [threading.Thread(target=take, args=(lease,)) for lease in leases_]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    taken[0].check()
    taken[0].__exit__(None, None, None)


def test_the_end_of_a_run_releases_the_lease_on_errors_too(tmp_path):
    with pytest.raises(KeyError), Lease(tmp_path):
        raise KeyError
    assert not (tmp_path / "lease.json").exists()
    Lease(tmp_path).check()  # outside of the context


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"process": 1}'])
def test_a_garbled_lease_is_no_obstacle(tmp_path, content):
    (tmp_path / "lease.json").write_bytes(content)
    with Lease(tmp_path) as lease:
        lease.check()


def test_a_directory_in_its_place_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "lease.json").mkdir()
    with pytest.raises(AlexNetError, match=r"lease\.json: is a directory, .*; remove it"), Lease(tmp_path):
        pass


def test_without_locks_of_the_file_system_the_first_of_two_takers_is_stopped(tmp_path, monkeypatch):
    def no_locks(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(leases.filelock, "FileLock", no_locks)
    with Lease(tmp_path) as first:
        change_holder(tmp_path, **dataclasses.asdict(first._own) | {"process": 1, "token": "other"})
        with pytest.raises(AlexNetError, match="process 1 on"):
            first.check()
