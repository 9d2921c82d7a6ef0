"""The scripts and the manifest of the page about launching on many devices."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alexnet_jax.commands.parsing import parse
from alexnet_jax.commands.train_arguments import TrainArguments
from alexnet_jax.presets import preset

PAGE = (Path(__file__).parents[3] / "alexnet_jax" / "training" / "layouts" / "README.md").read_text()
SCRIPTS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
[MANIFEST] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

# The fields that the manifest may use. A name with ! is required.
# JobSet: api/jobset/v1alpha2/jobset_types.go of kubernetes-sigs/jobset (JobSetSpec, ReplicatedJob, FailurePolicy).
# Job and Pod: the reference of the Kubernetes API, JobSpec, PodSpec, Container, Volume.
# On 2026-11-26 the manifest was also checked with the CRD of JobSet's commit 08dfbdfd.
CONTAINER = {
    "!name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"!name": str, "value": str}],
    "ports": [{"!containerPort": int}],
    "resources": {"limits": {"nvidia.com/gpu": int, "google.com/tpu": int}},
    "volumeMounts": [{"!name": str, "!mountPath": str, "readOnly": bool}],
}
POD = {
    "!containers": [CONTAINER],
    "nodeSelector": dict,
    "restartPolicy": ("Never", "OnFailure"),
    "terminationGracePeriodSeconds": int,
    "volumes": [
        {
            "!name": str,
            "persistentVolumeClaim": {"!claimName": str},
            "emptyDir": {"medium": ("", "Memory")},
        }
    ],
}
JOB = {
    "parallelism": int,
    "completions": int,
    "completionMode": ("Indexed", "NonIndexed"),
    "backoffLimit": int,
    "!template": {"!spec": POD},
}
JOB_SET = {
    "!apiVersion": ("jobset.x-k8s.io/v1alpha2",),
    "!kind": ("JobSet",),
    "!metadata": {"!name": str},
    "!spec": {
        "failurePolicy": {"maxRestarts": int},
        "replicatedJobs": [{"!name": str, "replicas": int, "!template": {"!spec": JOB}}],
    },
}


def check(value: Any, schema: Any, path: str = "") -> None:
    """Whether ``value`` has the fields and types of ``schema``: a type, a tuple of values, a list or a dict of them."""
    match schema:
        case dict():
            assert isinstance(value, dict), path
            fields = {name.removeprefix("!"): field for name, field in schema.items()}
            assert set(value) <= set(fields), f"{path}: {set(value) - set(fields)}"
            missing = {name[1:] for name in schema if name.startswith("!")} - set(value)
            assert not missing, f"{path}: {missing}"
            for name in value:
                check(value[name], fields[name], f"{path}.{name}")
        case list():
            assert isinstance(value, list), path
            for index, item in enumerate(value):
                check(item, schema[0], f"{path}.{index}")
        case tuple():
            assert value in schema, path
        case _:
            assert type(value) is schema, path


def arguments_of(script: str) -> list[str]:
    """The arguments of ``alexnet train`` in a script."""
    text = script.replace("\\\n", " ").partition("alexnet train ")[2].partition('"')[0]
    return shlex.split(text.partition("\n")[0])


def parsed(arguments: list[str]) -> TrainArguments:
    return parse(TrainArguments, arguments, "train", default=TrainArguments(preset("imagenet_large_batch_8k")))


def test_the_manifest_has_the_fields_of_a_job_set():
    check(yaml.safe_load(MANIFEST), JOB_SET)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("backoffLimit: 0", "backoff: 0"),
        ("      replicas: 1", '      replicas: "1"'),
        ("completionMode: Indexed", "completionMode: indexed"),
        ("- name: train\n", "- hostname: train\n"),
    ],
)
def test_a_manifest_with_another_field_or_type_is_refused(before, after):
    assert MANIFEST.count(before) == 1
    with pytest.raises(AssertionError):
        check(yaml.safe_load(MANIFEST.replace(before, after)), JOB_SET)


def test_the_pods_of_the_manifest_find_one_another():
    manifest = yaml.safe_load(MANIFEST)
    [job] = manifest["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    name = manifest["metadata"]["name"]
    found = parsed(
        container["command"][2:] + [each.replace("$(JOB_COMPLETION_INDEX)", "1") for each in container["args"]]
    )
    port = container["ports"][0]["containerPort"]
    assert found.coordinator == f"{name}-{job['name']}-0-0.{name}:{port}"
    assert found.processes == spec["parallelism"] == spec["completions"]
    assert (found.process_id, found.cluster) == (1, "none")
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("script", [script for script in SCRIPTS if "alexnet train" in script])
def test_the_scripts_start_several_processes(script):
    assert parsed(arguments_of(script)).distributed


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_bash(script):
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""
