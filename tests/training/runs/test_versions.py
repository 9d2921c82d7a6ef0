import json

import pytest

from alexnet_jax.training.runs import run_directory
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.runs.versions import PACKAGES, describe_change, versions_in_use

OLD = {"python": "3.11.7", "jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8", "numpy": "2.4.6"}
NEW = OLD | {"jax": "0.12.0", "jaxlib": "0.12.0"}


@pytest.fixture
def workdir(tmp_path):
    return RunDirectory(tmp_path)


@pytest.fixture
def install(monkeypatch):
    return lambda versions: monkeypatch.setattr(run_directory, "versions_in_use", lambda devices, layout: versions)


def test_the_versions_in_use_are_those_of_python_and_the_packages_with_processor_devices_and_threads(monkeypatch):
    monkeypatch.setenv("NPROC", "12")
    versions = versions_in_use(2, "towers")
    assert set(versions) == {"python", *PACKAGES, "processor", "devices", "layout", "cpu_threads"}
    assert all(versions[name][0].isdigit() for name in ("python", *PACKAGES))
    assert versions["processor"]
    assert (versions["devices"], versions["layout"]) == ("2", "towers")
    assert versions["cpu_threads"] == "12"


def test_a_change_of_the_number_of_threads_is_named_with_the_remedy():
    line = describe_change(NEW | {"cpu_threads": "8"}, NEW | {"cpu_threads": "64"})
    assert line.startswith("the run used 8 CPU threads, now 64: its results may differ")
    assert line.endswith("NPROC=8 keeps its number of threads")
    assert describe_change(NEW, NEW | {"cpu_threads": "64"}) is None  # recorded by an earlier release


def test_a_change_of_the_number_of_devices_is_named():
    line = describe_change(NEW | {"devices": "2"}, NEW | {"devices": "1"})
    assert line.startswith("the run used 2 device(s), now 1: its results may differ")


def test_a_change_is_one_line_that_names_what_changed():
    assert describe_change(OLD, OLD) is None
    line = describe_change(OLD, NEW)
    assert "jax 0.10.2, now 0.12.0, jaxlib 0.10.2, now 0.12.0" in line
    assert "flax" not in line
    assert "\n" not in line


def test_a_resume_on_other_versions_prints_one_note_once(workdir, install):
    install(OLD)
    assert workdir.record_versions(0, 1, "single") is None
    assert workdir.record_versions(10, 1, "single") is None
    install(NEW)
    assert "jax 0.10.2, now 0.12.0" in workdir.record_versions(20, 1, "single")
    assert workdir.record_versions(30, 1, "single") is None
    assert json.loads(workdir.versions.read_text()) == [{"from_step": 0} | OLD, {"from_step": 20} | NEW]


def test_a_resume_from_an_earlier_step_forgets_later_versions(workdir, install):
    install(OLD)
    workdir.record_versions(0, 1, "single")
    install(NEW)
    workdir.record_versions(20, 1, "single")
    install(OLD)
    assert workdir.record_versions(10, 1, "single") is None
    assert json.loads(workdir.versions.read_text()) == [{"from_step": 0} | OLD]


def test_a_resume_records_missing_versions(workdir, install):
    install(NEW)
    assert workdir.record_versions(10, 1, "single") is None
    assert json.loads(workdir.versions.read_text()) == [{"from_step": 10} | NEW]
