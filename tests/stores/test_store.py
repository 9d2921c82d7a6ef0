"""URLs, and the objects below them, with a server of S3's protocol on this machine."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.stores.fetch import fetch, local
from alexnet_jax.stores.output import check_output, output, resumable_output
from alexnet_jax.stores.store import Store, StoreError, shown, url_of


def fresh_clients(monkeypatch):
    """fsspec makes new clients in the rest of the test, which read the environment again."""
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "_cache", {})


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/run", "s3://bucket/run"),
        (Path("s3://bucket/run"), "s3://bucket/run"),
        ("gs://bucket/run/", "gs://bucket/run"),
        ("runs/s3:/bucket", None),
        ("hf://owner/repository", None),
        ("s3://", None),
        ("", None),
    ],
)
def test_a_url_is_recognised_also_after_a_path_has_removed_a_slash(path, url):
    assert url_of(path) == url
    assert shown(path) == (url or str(path))


def test_google_cloud_storage_needs_its_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gcsfs" else find(name))
    with pytest.raises(UsageError, match=r"gs:// needs the package gcsfs: .*--extra gcs`"):
        Store("gs://bucket/run")


def test_both_schemes_are_known_to_fsspec():
    from fsspec.registry import known_implementations

    assert known_implementations["gs"]["class"] == "gcsfs.GCSFileSystem"
    assert known_implementations["s3"]["class"] == "s3fs.S3FileSystem"


def test_errors_are_one_line_that_says_what_would_work(object_store, monkeypatch):
    store = Store(f"{object_store.url}/folder")
    with pytest.raises(StoreError, match=r"^s3://no-such-bucket/x: there is no such bucket; make it"):
        Store("s3://no-such-bucket/x").list()
    with pytest.raises(StoreError, match="there is no such bucket"):
        Store("s3://no-such-bucket/x").write("name", b"")
    object_store.refused = ".*"
    with pytest.raises(StoreError, match=r"is not allowed \(.*\); check the credentials"):
        store.write("name", b"")
    object_store.refused = None
    fresh_clients(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match=r"no credentials \(.*\); set them .* AWS_ACCESS_KEY_ID"):
        Store(store.url).read("name")


@pytest.mark.slow
def test_a_dead_endpoint_is_one_line(object_store, monkeypatch):
    fresh_clients(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"cannot be reached \(.*\); check the network, and the endpoint"):
        Store(f"{object_store.url}/x").list()


def test_objects_are_written_listed_created_once_and_deleted(object_store):
    store = Store(f"{object_store.url}/folder")
    assert (store.read("a"), store.modified("a"), store.exists("a"), store.list()) == (None, None, False, {})
    store.write("a", b"first")
    assert store.create("b/c", b"one")
    assert not store.create("b/c", b"two")
    assert (store.read("a"), store.read("b/c")) == (b"first", b"one")
    assert {name: entry.size for name, entry in store.list().items()} == {"a": 5, "b/c": 3}
    assert store.list("b").keys() == {"b/c"}
    assert store.list()["a"].modified == store.modified("a")
    store.delete(["a", "none"])
    assert object_store.names() == ["folder/b/c"]


def test_names_that_leave_the_folder_are_refused(object_store):
    object_store.files.pipe_file(f"{object_store.url}/folder/../x", b"")
    with pytest.raises(AlexNetError, match=r"an object named \.\./x, which is not a valid file name"):
        fetch(f"{object_store.url}/folder")
    with pytest.raises(UsageError, match=r"do not name folders"):
        Store(f"{object_store.url}/..")


class TestFetch:
    @pytest.fixture
    def url(self, object_store):
        for name in ("a.txt", "b/c.txt", "b/d.txt"):
            object_store.files.pipe_file(f"{object_store.url}/data/{name}", name.encode())
        return f"{object_store.url}/data"

    def test_a_folder_is_copied_once(self, object_store, url, capsys):
        place = fetch(url)
        assert {file.relative_to(place).as_posix(): file.read_text() for file in place.rglob("*.txt")} == {
            name: name for name in ("a.txt", "b/c.txt", "b/d.txt")
        }
        assert capsys.readouterr().err == f"copying {url}: 3 files, 0.0 MB\n"
        object_store.requests.clear()
        assert fetch(url) == place == local(Path(url))
        assert object_store.gets() == []
        assert capsys.readouterr().err == ""

    def test_only_what_changed_is_copied_again(self, object_store, url):
        place = fetch(url)
        object_store.files.pipe_file(f"{url}/a.txt", b"longer")
        object_store.files.rm_file(f"{url}/b/c.txt")
        object_store.files.rm_file(f"{url}/b/d.txt")
        object_store.requests.clear()
        fetch(url)
        assert [path.rpartition("/")[2] for path in object_store.gets()] == ["a.txt"]
        assert [file.name for file in place.rglob("*")] == ["a.txt"]
        assert (place / "a.txt").read_text() == "longer"

    def test_an_interrupted_copy_goes_on(self, object_store, url):
        object_store.refused = "GET .*/d.txt"
        with pytest.raises(StoreError, match="is not allowed"):
            fetch(url)
        object_store.refused = None
        object_store.requests.clear()
        place = fetch(url)
        assert [path.rpartition("/")[2] for path in object_store.gets()].count("d.txt") == 1
        assert len(object_store.gets()) < 3
        assert (place / "b/d.txt").read_text() == "b/d.txt"
        assert not list(place.rglob(".*"))

    def test_an_object_is_a_file_with_its_name(self, url):
        place = fetch(f"{url}/b/c.txt")
        assert (place.name, place.read_text()) == ("c.txt", "b/c.txt")

    def test_nothing_there_is_one_line(self, object_store):
        with pytest.raises(AlexNetError, match=r"^s3://.*/none: no such object or folder; check the name"):
            fetch(f"{object_store.url}/none")

    def test_a_full_disk_is_reported_before_the_copy(self, url, monkeypatch):
        usage = SimpleNamespace(free=5)
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
        with pytest.raises(AlexNetError, match=r"takes 0.0 GiB, and the cache has 0.0 GiB of free space"):
            fetch(url)


class TestOutput:
    def test_a_file_is_copied_when_it_is_complete(self, object_store):
        url = f"{object_store.url}/out/result.txt"
        with output(Path(url)) as file:
            file.write_text("result")
            assert (file.name, object_store.names()) == ("result.txt", [])
        assert object_store.files.cat_file(url) == b"result"
        assert not file.exists()
        with pytest.raises(UsageError, match=r"result.txt: already exists"), output(Path(url)):
            pass
        with output(Path(url), is_new=False) as file:
            file.write_text("other")
        assert object_store.files.cat_file(url) == b"other"

    def test_a_bucket_that_is_missing_is_found_before_the_work(self, object_store):
        del object_store
        with pytest.raises(StoreError, match=r"^s3://no-such-bucket/result.txt: there is no such bucket"):
            check_output(Path("s3://no-such-bucket/result.txt"))

    def test_an_error_leaves_nothing(self, object_store):
        def fail():
            with output(Path(f"{object_store.url}/result.txt")) as file:
                file.write_text("half")
                raise ValueError(file)

        with pytest.raises(ValueError, match=r"result\.txt") as error:
            fail()
        assert object_store.names() == []
        assert not error.value.args[0].exists()

    def test_a_long_work_goes_on_and_is_copied_with_the_files_beside_it(self, object_store):
        url = Path(f"{object_store.url}/out/result.h5")

        def stop():
            with resumable_output(url) as file:
                file.with_name("result.h5.part").write_text("half")
                raise ValueError("stopped")

        with pytest.raises(ValueError, match="stopped"):
            stop()
        assert object_store.names() == []
        with resumable_output(url) as file:
            assert file.with_name("result.h5.part").read_text() == "half"
            file.with_name("result.h5.part").rename(file)
            file.with_name("result.h5.order.txt").write_text("names")
        assert object_store.names() == ["out/result.h5", "out/result.h5.order.txt"]
        assert not file.parent.exists()

    def test_a_failed_copy_keeps_the_files_of_a_long_work(self, object_store):
        url = Path(f"{object_store.url}/result.h5")
        object_store.refused = "PUT .*"
        failure = pytest.raises(StoreError, match=r"is not allowed.*; the files are in (.*), and the same")
        with failure, resumable_output(url) as file:
            file.write_text("whole")
        object_store.refused = None
        with resumable_output(url) as file:
            assert file.read_text() == "whole"
        assert object_store.names() == ["result.h5"]

    def test_a_path_of_this_machine_is_itself(self, tmp_path):
        with output(tmp_path / "x") as file:
            assert file == tmp_path / "x"
        with resumable_output(tmp_path / "x") as file:
            assert file == tmp_path / "x"
