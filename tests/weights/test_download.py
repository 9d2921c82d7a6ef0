"""Downloads from a server that drops connections, stalls, and sends wrong bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filelock import FileLock

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.weights import download
from alexnet_jax.weights.catalogue import RemoteFile
from alexnet_jax.weights.download import _CHUNK_BYTES, Patience, fetch
from tests.helpers.file_server import serving

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA1 = hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", Patience(connect=2, stall=0.2, tries=3, pause=0.001))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "net.pth").write_bytes(CONTENT)
    with serving(tmp_path / "server") as server:
        yield server


@pytest.fixture
def file(server) -> RemoteFile:
    return RemoteFile("net.pth", server.url, "sha1", SHA1)


def start_of(request):
    """The first byte that a request asks for."""
    _, wanted = request
    return 0 if wanted is None else int(wanted.removeprefix("bytes=").removesuffix("-"))


def files_in(folder):
    """The files in the cache, without locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_downloaded_once(server, file, tmp_path):
    for _ in range(2):
        assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT
    assert server.requests == [("/net.pth", None)]
    assert files_in(tmp_path / "cache") == ["net.pth"]


def test_the_first_digits_of_a_checksum_suffice(file, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()[:8]
    fetch(dataclasses.replace(file, algorithm="sha256", digest=digest), tmp_path / "cache")
    wrong = dataclasses.replace(file, algorithm="sha256", digest="0" * 8)
    with pytest.raises(AlexNetError, match="its SHA256 is not 00000000"):
        fetch(wrong, tmp_path / "other")


@pytest.mark.parametrize("fault", ["drop", "stall"])
@pytest.mark.parametrize("digest", [SHA1, ""])
def test_a_broken_download_goes_on_where_it_broke_off(server, file, tmp_path, fault, digest):
    server.faults = [f"{fault}:400000", f"{fault}:300000"]
    assert fetch(dataclasses.replace(file, digest=digest), tmp_path / "cache").read_bytes() == CONTENT
    starts = [start_of(request) for request in server.requests]
    assert len(starts) == 3
    assert starts[0] == 0 < 400_000 - _CHUNK_BYTES < starts[1] <= 400_000
    assert starts[1] + 300_000 - _CHUNK_BYTES < starts[2] <= starts[1] + 300_000


def test_more_breaks_than_tries_are_no_problem_if_each_brings_bytes(server, file, tmp_path):
    server.faults = ["drop:100000"] * 6
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_file_again(server, file, tmp_path):
    server.has_ranges, server.faults = False, ["drop:400000"]
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_for_now_is_asked_again(server, file, tmp_path, status):
    server.faults = [str(status)] * 2
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_without_the_file_is_asked_once(server, file, tmp_path, status):
    server.faults = [str(status)] * 2
    with pytest.raises(AlexNetError, match=rf"^{server.url}/net.pth: the server answers with status {status}; use"):
        fetch(file, tmp_path / "cache")
    assert len(server.requests) == 1


def test_wrong_bytes_are_refused_and_not_kept(server, file, tmp_path):
    server.faults = ["wrong"]
    with pytest.raises(
        AlexNetError, match=rf"^{server.url}/net.pth: its SHA1 is not {SHA1}, .* and was not kept"
    ) as raised:
        fetch(file, tmp_path / "cache")
    assert raised.value.exit_status == 1
    assert files_in(tmp_path / "cache") == []
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT


def test_a_later_process_goes_on_with_the_part_on_disk(server, file, tmp_path):
    server.faults = ["drop:400000", *["drop:0"] * 3]
    with pytest.raises(AlexNetError):
        fetch(file, tmp_path / "cache")
    assert files_in(tmp_path / "cache") == [".net.pth.part"]
    server.requests.clear()
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT
    assert [start_of(request) > 0 for request in server.requests] == [True]


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more", bytes(1000), bytes(len(CONTENT))])
def test_any_part_on_disk_becomes_the_file(file, tmp_path, part):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".net.pth.part").write_bytes(part)
    assert fetch(file, tmp_path / "cache").read_bytes() == CONTENT


def test_a_part_of_a_file_without_checksum_is_not_used_by_a_later_process(server, file, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".net.pth.part").write_bytes(bytes(1000))
    assert fetch(dataclasses.replace(file, digest=""), tmp_path / "cache").read_bytes() == CONTENT


def test_a_wrong_file_in_the_cache_is_refused(file, tmp_path):
    (tmp_path / "net.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(AlexNetError, match=rf"^{tmp_path}/net.pth: its SHA1 is not .*; delete it"):
        fetch(file, tmp_path)


def test_without_network_the_message_says_where_to_put_the_file(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        place = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(AlexNetError) as raised:
            fetch(RemoteFile("net.pth", place, "sha1", SHA1), tmp_path / "cache")
    assert f"(no connection); put the file at {tmp_path}/cache/net.pth, or set ALEXNET_JAX_MIRROR" in str(raised.value)
    (tmp_path / "cache" / "net.pth").write_bytes(CONTENT)
    assert fetch(RemoteFile("net.pth", place, "sha1", SHA1), tmp_path / "cache").read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["nowhere", "ftp://127.0.0.1", "http://", "file:///tmp"])
def test_a_place_that_is_no_url_is_refused_at_once(tmp_path, place):
    with pytest.raises(UsageError, match="is not a URL of a file"):
        fetch(RemoteFile("net.pth", place), tmp_path / "cache")


def test_a_stalling_server_is_left_after_some_tries(server, file, tmp_path):
    server.faults = ["stall:0"] * 3
    with pytest.raises(AlexNetError, match="no answer in time"):
        fetch(file, tmp_path / "cache")
    assert len(server.requests) == 3


def test_a_cache_that_cannot_be_written_is_reported_in_one_line(file, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(AlexNetError, match=r"cannot be read or written \(File exists\); set XDG_CACHE_HOME"):
        fetch(file, tmp_path / "cache")


def test_one_thread_downloads_while_others_wait(server, file, tmp_path):
    server.faults = ["stall:500000"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch(file, tmp_path / "cache").read_bytes() == CONTENT, range(4)))
    assert found == [True] * 4
    assert [start_of(request) > 0 for request in server.requests] == [False, True]


def _hold(lock, holds, release, file, content):
    with FileLock(lock):
        holds.set()
        release.wait(10)
        file.write_bytes(content)


def test_another_process_that_downloads_is_waited_for(server, file, tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    context = multiprocessing.get_context("spawn")
    holds, release = context.Event(), context.Event()
    arguments = (tmp_path / "cache" / ".net.pth.lock", holds, release, tmp_path / "cache" / "net.pth", CONTENT)
    other = context.Process(target=_hold, args=arguments)
    other.start()
    assert holds.wait(30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, file, tmp_path / "cache")
        said = ""
        while not said and not waiting.done():
            said = capsys.readouterr().err
            time.sleep(0.01)
        release.set()
        assert waiting.result(10).read_bytes() == CONTENT
    other.join()
    assert server.requests == []
    assert said == "waiting for another process, which downloads net.pth\n"


def test_progress_is_reported_unless_it_is_turned_off(server, file, tmp_path, capsys):
    fetch(file, tmp_path / "loud")
    assert capsys.readouterr().err == f"downloading {server.url}/net.pth\n"
    fetch(file, tmp_path / "silent", progress=False)
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    fetch(file, tmp_path / "cache")
    assert "1.0/1.0 MB" in capsys.readouterr().err
    assert os.listdir(tmp_path / "cache") != []
