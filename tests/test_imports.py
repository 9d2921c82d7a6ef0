"""Which modules import which."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import alexnet_jax

PACKAGE = Path(alexnet_jax.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("grain", "PIL", "simplejpeg", "tensorflow_datasets", "orbax", "rich", "tyro")


def test_pure_steps_import_no_heavy_package():
    code = f"""
import sys
import flax.linen  # which imports rich
before = set(sys.modules)
import alexnet_jax.training.steps.train_step
print([name for name in {HEAVY} if name in sys.modules and (name != "rich" or name not in before)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def imported(path):
    """The modules of this package that a module imports, at any depth of its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("alexnet_jax.") for name in names if name.startswith("alexnet_jax.")}


def name_of(path):
    """A module's name without that of this package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        (
            "config",
            ["ops", "net", "preprocessing", "data", "training", "weights", "readout", "export", "bench", "console"],
        ),
        ("ops", ["net", "preprocessing", "data", "training", "weights", "export", "bench", "console", "commands"]),
        ("preprocessing", ["net", "data", "training", "weights", "export", "bench", "console", "commands"]),
        ("net", ["data", "training", "weights", "export", "bench", "console", "commands"]),
        ("stores", ["config", "data", "training", "weights", "readout", "console", "commands"]),
        ("data", ["net", "training", "weights", "export", "bench", "console", "commands"]),
        ("training", ["readout", "export", "bench", "plan", "commands"]),
        ("readout", ["export", "bench", "console", "commands"]),
        ("weights", ["readout", "perceptual", "export", "bench", "console", "commands"]),
        ("perceptual", ["readout", "export", "bench", "console", "commands"]),
        ("export", ["bench", "console", "commands"]),
        ("bench", ["report", "commands"]),
        ("report", ["export", "bench", "commands"]),
        ("plan", ["readout", "export", "bench", "report", "commands"]),
        ("console", ["readout", "perceptual", "report", "bench", "plan", "commands"]),
    ],
)
def test_imports_point_one_way(part, forbidden):
    paths = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == part]
    assert paths
    found = {
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in paths
        for name in imported(path)
        if name.split(".")[0] in forbidden
    }
    assert not found


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        ("optimizer", {"optimizer"}),
        ("steps", {"optimizer", "steps"}),
        ("layouts", {"optimizer", "steps", "layouts"}),
        ("runs", {"steps", "runs"}),
    ],
)
def test_imports_within_training_point_one_way(part, allowed):
    paths = list((PACKAGE / "training" / part).glob("*.py"))
    assert paths
    within = {(path.name, name) for path in paths for name in imported(path) if name.startswith("training.")}
    assert {(path, name) for path, name in within if name.split(".")[1] not in allowed} == set()


def test_no_modules_import_each_other():
    paths = {name_of(path): path for path in MODULES}
    graph = {
        module: {name if name in paths else name.rpartition(".")[0] for name in imported(path)} & set(paths)
        for module, path in paths.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises an error that names a cycle


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_module_reads_no_file_outside_the_package(path):
    """A module may use ``parents`` up to the root of the package."""
    depth = len(path.relative_to(PACKAGE).parts) - 1  # parents[depth] is the package
    for node in ast.walk(ast.parse(path.read_text())):
        is_parents = isinstance(node, ast.Subscript) and getattr(node.value, "attr", None) == "parents"
        if is_parents and isinstance(node.slice, ast.Constant):
            assert node.slice.value <= depth, f"line {node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert node.value.split("/")[0] not in ("experiments", "tests") or " " in node.value, f"line {node.lineno}"
