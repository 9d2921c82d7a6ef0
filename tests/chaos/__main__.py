"""Disturbs small runs at random, and checks that each ends like an undisturbed one or says in one line why not.

    python -m tests.chaos --disturbances 100 --seed 0

Prints a line for each disturbance and a table by kind. The exit status is 1 if a disturbance did harm.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

_CACHE = Path(tempfile.gettempdir()) / "alexnet-chaos-cache"
os.environ |= {  # before JAX is imported
    "JAX_COMPILATION_CACHE_DIR": str(_CACHE),
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**29),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}

# imported once, for the processes that are forked
import matplotlib.figure  # noqa: E402, F401

import alexnet_jax.commands.convert  # noqa: E402
import alexnet_jax.commands.evaluate  # noqa: E402
import alexnet_jax.commands.export  # noqa: E402
import alexnet_jax.commands.predict  # noqa: E402
import alexnet_jax.commands.train  # noqa: E402
import alexnet_jax.training.evaluation  # noqa: E402
import alexnet_jax.training.loop  # noqa: E402
import alexnet_jax.weights.fine_tuning  # noqa: E402, F401
from tests.chaos.disturbances import KINDS, HarmError, Restore, kinds, one_line  # noqa: E402
from tests.chaos.scene import Ending, Scene  # noqa: E402

_REMEDIES = r"restore|another|remove|make room|train again|--overwrite|same|put .* back|undo"
SAME, REFUSED, HARM = "same result", "refused, then same result", "harm"


def main() -> int:
    """Runs the script. Returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disturbances", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), help="only these kinds, in turn")
    parser.add_argument("--keep", action="store_true", help="keep the directories of disturbances that did harm")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="alexnet-chaos-"))
    chance = random.Random(options.seed)
    names = (
        list(itertools.islice(itertools.cycle(options.only), options.disturbances))
        if options.only
        else list(kinds(options.disturbances, chance))
    )
    try:
        expected = {devices: _undisturbed(Scene(root / f"undisturbed{devices}", devices)) for devices in (1, 2)}
        outcomes: Counter[tuple[str, str]] = Counter()
        for number, name in enumerate(names, start=1):
            seed, start = chance.randrange(2**32), time.monotonic()
            scene = Scene(root / str(number), devices=chance.choice([1, 2]), photos=root / "undisturbed1" / "photos")
            try:
                outcome, text = _disturb(name, scene, random.Random(seed), expected[scene.devices])
            except (HarmError, TimeoutError, AssertionError) as failure:
                outcome, text = HARM, str(failure)
            outcomes[name, outcome] += 1
            note = ": ".join(part for part in (scene.note, text) if part)
            seconds = time.monotonic() - start
            print(f"{number:4}  {name}, {scene.devices} device(s): {outcome}, {seconds:.0f} s  {note}", flush=True)
            if not (outcome == HARM and options.keep):
                _remove(scene)
        _print_table(outcomes)
        return int(any(outcome == HARM for _, outcome in outcomes))
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)


def _undisturbed(scene: Scene) -> Ending:
    done = scene.train()
    done.wait()
    ending = scene.ending(done)
    if ending is None:
        raise SystemExit(f"the undisturbed run failed:\n{done.stderr}")
    return ending


def _disturb(name: str, scene: Scene, chance: random.Random, undisturbed: Ending) -> tuple[str, str]:
    """The outcome of a disturbance, and the message if the run was refused."""
    restore = KINDS[name][1](scene, chance)
    done = scene.train()
    message = ""
    if done.wait() != 0:
        message = one_line(done)
        _follow(message, scene, restore)
        done = scene.train()
        done.wait()
    ending, expected = scene.ending(done), scene.expected or undisturbed
    if ending is None:
        raise HarmError(f"status {done.returncode}: {done.stderr}")
    if ending.digest != expected.digest:
        raise HarmError(f"the parameters differ: {ending.digest}")
    if ending.evaluations != expected.evaluations and "metrics.jsonl" not in name:
        raise HarmError(f"the evaluations differ: {ending.evaluations} for {expected.evaluations}")
    drafts = [path.name for path in scene.workdir.rglob("*") if re.search(r"\.new$|tmp|\.draft", path.name)]
    if drafts:
        raise HarmError(f"left {', '.join(drafts)}")
    return (REFUSED, message) if message else (SAME, "")


def _follow(message: str, scene: Scene, restore: Restore | None) -> None:
    """Does what the message of a refused run advises."""
    if restore is None:
        raise HarmError(f"the run was refused although no file was damaged: {message}")
    if not re.search(_REMEDIES, message):
        raise HarmError(f"the message names no remedy: {message}")
    restore()


def _remove(scene: Scene) -> None:
    subprocess.run(["umount", "-q", scene.workdir], check=False, capture_output=True)
    shutil.rmtree(scene.root, ignore_errors=True)


def _print_table(outcomes: Counter[tuple[str, str]]) -> None:
    columns = ("disturbances", SAME, REFUSED, HARM)
    print(f"\n{'kind':26}" + "".join(f"{column:>{len(column) + 2}}" for column in columns))
    names = [name for name in KINDS if any(key == name for key, _ in outcomes)]
    for name in [*names, "all"]:
        counts = [
            sum(n for (key, found), n in outcomes.items() if name in (key, "all") and found == column)
            for column in columns[1:]
        ]
        cells = (sum(counts), *counts)
        print(f"{name:26}" + "".join(f"{n:>{len(column) + 2}}" for n, column in zip(cells, columns, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
