"""Several processes on this machine train one net."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alexnet_jax.data.images import UnreadableImageError
from alexnet_jax.errors import UsageError
from alexnet_jax.hosts.address import Address
from alexnet_jax.hosts.cluster import Cluster
from tests.helpers.command import alexnet

ROOT = Path(__file__).parents[2]


def run(module, *arguments):
    """The standard output of a program of this package, in a process that forks before JAX starts."""
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    command = [sys.executable, "-m", f"tests.hosts{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.optimized  # without optimisation, pmap and shard_map differ in the last bit on some processors
def test_two_processes_train_like_one():
    """Two processes with a tower each have the parameters of ``jax.pmap`` in one process, bit for bit."""
    rows = [json.loads(line) for line in run(".equal", "2x1", "2x2").splitlines()]
    assert [row["name"] for row in rows] == ["1x2", "2x1", "2x2"]
    for row in rows:
        assert row["losses"] < 1e-6
        assert row["params"] < 1e-5
        assert set(row["restored"].values()) == {row["digest"]}, "a checkpoint changed where it was restored"
        assert row["files"] == rows[0]["files"]
    of_pmap, towers, _ = rows
    assert towers["digest"] == of_pmap["digest"]


@pytest.mark.slow
def test_a_stop_of_one_process_stops_all_at_the_same_step():
    """With two processes, because four take minutes on two cores; ``--processes 4`` was run by hand."""
    print(run("", "--only", "SIGTERM", "Ctrl-C", "--disturbances", "3", "--seed", "1"))


@pytest.mark.slow
def test_all_processes_end_when_one_fails():
    print(run("", "--only", "killed", "raising", "stuck", "--disturbances", "3", "--seed", "2", "--step_timeout", "5"))


def test_a_port_in_use_is_refused(tmp_path):
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        address = f"localhost:{other.getsockname()[1]}"
        options = ("--coordinator", address, "--processes", 2, "--process_id", 0)
        done = alexnet("train", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr == f"alexnet: error: --coordinator is {address}: its port cannot be used (Address already in use)\n"
    )


@pytest.mark.parametrize("address", ["localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:-1"])
def test_an_address_without_a_port_is_refused(address):
    with pytest.raises(UsageError, match=f"^--coordinator is '{address}': use HOST:PORT, such as localhost:1234$"):
        Address(address)


def test_an_error_of_another_process_names_it():
    team = Cluster.__new__(Cluster)  # no process joins another
    team.index, team._watchdog = 1, SimpleNamespace(cause=lambda: None, tell_failure=lambda reason: None)
    with pytest.raises(UnreadableImageError, match=r"^process 1: cat\.jpg: not a readable image \(damaged\)"), team:
        raise UnreadableImageError("cat.jpg", "damaged")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--distributed"],
            "--distributed: no cluster was detected (coordinator_address should be defined.); use --coordinator "
            "HOST:PORT --processes N --process_id I",
        ),
        (
            ["--step_timeout", "5"],
            "--step_timeout is for several processes: use it with --distributed or --coordinator",
        ),
    ],
)
def test_a_team_that_cannot_be_is_refused(options, message, tmp_path):
    """In a process of its own, because JAX must not have started."""
    command = [sys.executable, "-m", "alexnet_jax", "train", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"alexnet: error: {message}\n"


@pytest.mark.slow
def test_slurm_is_detected(tmp_path):
    """Variables as ``srun`` sets them, and proxies that do not answer."""
    proxies = {
        "http_proxy": "http://192.0.2.1:9",
        "https_proxy": "http://192.0.2.1:9",
        "HTTPS_PROXY": "http://192.0.2.1:9",
    }
    cluster = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    command = [
        sys.executable,
        "-m",
        "alexnet_jax",
        "train",
        "--distributed",
        "--epochs",
        "1",
        "--workdir",
        tmp_path / "run",
    ]
    processes = [
        subprocess.Popen(
            [*command, "--schedule.epochs", "0.5"],
            env=os.environ | proxies | cluster | {"SLURM_PROCID": str(index), "SLURM_LOCALID": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "finished  156 steps" in outputs[0][0]
    spoken = [line for line in outputs[1][0].splitlines() if not line.startswith("[Gloo]")]
    assert spoken == []


@pytest.mark.slow
def test_the_example_of_the_page(tmp_path):
    page = (ROOT / "alexnet_jax" / "hosts" / "README.md").read_text()
    example = next(
        block for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "wait" in block
    )
    script = example.replace("alexnet ", f"{sys.executable} -m alexnet_jax ")
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished  312 steps" in done.stdout
