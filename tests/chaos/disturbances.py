"""What is done to a run. Each kind is a function of a scene and a random generator."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.chaos.processes import Process
from tests.chaos.scene import STEPS, Scene

Restore = Callable[[], None]
"""Undoes what was done to files, as the message of a refused run advises."""


class HarmError(Exception):
    """The program did something wrong. The message says what."""


def one_line(done: Process) -> str:
    """The error of a command that failed as it should: with status 1 or 2, and one line, perhaps after warnings."""
    *warnings, error = done.stderr.splitlines() or [""]
    is_wrong = "Traceback" in done.stderr or any(line.startswith("alexnet: error") for line in warnings)
    if done.returncode not in (1, 2) or is_wrong or not error.startswith("alexnet: error: "):
        raise HarmError(f"{done.arguments[0]} ended with status {done.returncode} and printed:\n{done.stderr}")
    return error.removeprefix("alexnet: error: ")


def wait_for_a_moment(scene: Scene, process: Process, chance: random.Random) -> None:
    """Waits until a random step, or sometimes for a random time of the start-up. Saving and evaluating happen often."""
    if chance.random() < 0.1:
        time.sleep(chance.uniform(0, 3))
        return
    step = chance.randrange(1, STEPS)
    process.wait_until(lambda: scene.step >= step)
    time.sleep(chance.uniform(0, 0.1))


def start_and_wait(scene: Scene, chance: random.Random) -> Process:
    running = scene.train()
    wait_for_a_moment(scene, running, chance)
    return running


# -- signals


def kill(scene: Scene, chance: random.Random) -> None:
    """Kills the process or its group."""
    running = start_and_wait(scene, chance)
    running.signal(signal.SIGKILL, to_group=chance.random() < 0.5)
    running.wait()


def stop(scene: Scene, chance: random.Random) -> None:
    """Sends TERM, HUP or INT to the process or its group, once or twice in a short time."""
    running = start_and_wait(scene, chance)
    number = chance.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    before = scene.step
    running.signal(number, to_group=chance.random() < 0.5)
    if chance.random() < 0.5:
        time.sleep(chance.choice([0, 0.001, 0.02, 0.2]))
        running.signal(number, to_group=True)
    status = running.wait()
    if before == 0:
        return  # it was starting, so there was nothing to save
    if status not in (0, 128 + number) or running.stderr:
        raise HarmError(f"signal {number} ended the run with status {status} and printed:\n{running.stderr}")
    if status != 0 and max(scene.saved_steps, default=0) < before:
        raise HarmError(f"signal {number} at step {before}, and the steps saved are {scene.saved_steps}")


def pause(scene: Scene, chance: random.Random) -> None:
    """Suspends the process for a moment."""
    running = start_and_wait(scene, chance)
    running.signal(signal.SIGSTOP)
    time.sleep(chance.uniform(0, 2))
    running.signal(signal.SIGCONT)
    must_finish(running)


def must_finish(running: Process) -> None:
    if running.wait() != 0 or running.stderr:
        raise HarmError(f"the run ended with status {running.returncode} and printed:\n{running.stderr}")


# -- other processes


def reader(scene: Scene, chance: random.Random) -> None:
    """Evaluates, predicts, exports or converts while the run goes on."""
    running = start_and_wait(scene, chance)
    commands: dict[str, list[object]] = {
        "evaluate": ["evaluate", scene.workdir],
        "predict": ["predict", scene.workdir, scene.photos / "test"],
        "export": ["export", scene.workdir, scene.root / "net.stablehlo"],
        "convert": ["convert", scene.workdir, scene.root / "net.safetensors", "--checkpoint", "best"],
        "summary": ["summary", "small"],
    }
    for name in chance.sample(sorted(commands), 2):
        had_checkpoint = bool(scene.saved_steps)
        reading = scene.start(commands[name])
        if reading.wait() != 0 and (message := one_line(reading)) and had_checkpoint:
            raise HarmError(f"{name} failed while the run went on: {message}")
    must_finish(running)


def second_run(scene: Scene, chance: random.Random) -> None:
    """Starts the run again while it lives. The second is refused, and the first goes on."""
    running = start_and_wait(scene, chance)
    running.wait_until(lambda: scene.step > 0)
    running.signal(signal.SIGSTOP) if chance.random() < 0.3 else None  # a slow process keeps its directory
    second = scene.train()
    second.wait_until(lambda: False, 60 if running.poll() is None else 300)
    was_running = running.poll() is None
    running.signal(signal.SIGCONT)
    if was_running:
        message = one_line(second)
        if str(running.pid) not in message:
            raise HarmError(f"the second run does not name the process of the first: {message}")
    else:
        second.wait()
    if running.wait() != 0:
        raise HarmError(f"the first run ended with status {running.returncode}:\n{running.stderr}")


def closed_pipe(scene: Scene, chance: random.Random) -> None:
    """The program that reads the output exits. Then, sometimes, a signal stops the run."""
    reading, writing = os.pipe()
    running = scene.train(stdout=writing)
    os.close(writing)
    wait_for_a_moment(scene, running, chance)
    os.close(reading)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.3))
        before = scene.step
        running.signal(signal.SIGINT, to_group=True)
        if running.wait() not in (0, 130) or running.stderr not in ("", "alexnet: interrupted\n"):
            raise HarmError(f"status {running.returncode} after a closed pipe and SIGINT:\n{running.stderr}")
        if before and running.returncode and max(scene.saved_steps, default=0) < before:
            raise HarmError(f"not saved after a closed pipe and SIGINT at step {before}")
    else:
        must_finish(running)


def full_output(scene: Scene, chance: random.Random) -> None:
    """Standard output goes to a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    running = scene.train(stdout=full)
    os.close(full)
    must_finish(running)


# -- the disk


def full_disk(scene: Scene, chance: random.Random) -> None:
    """No file can grow any more, from a random moment on. The run ends with one line, or waits until it may."""
    running = start_and_wait(scene, chance)
    running.limit_files(chance.choice([1000, 3000, 9000]))  # its message goes to a file, too
    if running.wait() != 0:
        message = one_line(running)
        if "space" not in message and "too large" not in message:
            raise HarmError(f"the message does not say that the disk is full: {message}")


def full_file_system(scene: Scene, chance: random.Random) -> None:
    """The file system of the run directory fills up at a random moment. Then room is made."""
    scene.workdir.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", scene.workdir], capture_output=True)
    if mounted.returncode != 0:
        return full_disk(scene, chance)
    running = start_and_wait(scene, chance)
    filler = scene.workdir / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    if running.wait() != 0:
        message = one_line(running)
        if "space" not in message:
            raise HarmError(f"the message does not say that the disk is full: {message}")
    filler.unlink()
    return None


# -- files


def damage(path: Path, chance: random.Random) -> str:
    """Damages a file in one of many ways, and returns how."""
    content = path.read_bytes()
    how = chance.choice(["flipped", "flipped", "truncated", "emptied", "garbage", "zeros", "a directory", "removed"])
    if how == "flipped" and content:
        index = chance.randrange(len(content))
        changed = bytearray(content)
        changed[index] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
    elif how == "truncated":
        path.write_bytes(content[: chance.randrange(len(content) + 1)])
    elif how == "garbage":
        path.write_bytes(chance.randbytes(max(1, len(content))))
    elif how == "zeros":
        path.write_bytes(bytes(max(1, len(content))))
    elif how in ("a directory", "removed"):
        path.unlink()
        path.mkdir() if how == "a directory" else None
    else:
        path.write_bytes(b"")
    return how


def damaged_file(pattern: str, *numbers: int) -> Callable[[Scene, random.Random], Restore]:
    """A disturbance: one of the signals, or KILL or TERM, ends the run, and a file of its directory is damaged."""

    def disturb(scene: Scene, chance: random.Random) -> Restore:
        running = scene.train()
        step = chance.randrange(25, STEPS)  # after the first checkpoints
        running.wait_until(lambda: scene.step >= step)
        running.signal(chance.choice(numbers or [signal.SIGKILL, signal.SIGTERM]))
        running.wait()
        found = sorted(file for file in scene.workdir.glob(pattern) if file.is_file())
        if not found:
            raise HarmError(f"the run has no file {pattern}")
        file = chance.choice(found)
        content = file.read_bytes()
        how = damage(file, chance)
        scene.note = f"{file.relative_to(scene.workdir)} {how}"

        def restore() -> None:
            shutil.rmtree(file) if file.is_dir() else None
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

        return restore

    return disturb


def every_checkpoint(scene: Scene, chance: random.Random) -> Restore:
    """Damages an array file of every checkpoint."""
    running = scene.train()
    running.wait_until(lambda: scene.step >= 25)
    running.signal(signal.SIGKILL)
    running.wait()
    copy = shutil.copytree(scene.workdir, scene.root / "copy")
    for step in scene.saved_steps:
        files = sorted((scene.workdir / "checkpoints" / str(step) / "state").rglob("d/*"))
        file = chance.choice(files)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    def restore() -> None:
        shutil.rmtree(scene.workdir)
        shutil.copytree(copy, scene.workdir)

    return restore


def changed_folder(scene: Scene, chance: random.Random) -> Restore:
    """Removes, adds or renames an image or a class of the data set."""
    running = start_and_wait(scene, chance)
    running.wait_until(lambda: len(scene.saved_steps) > 0)
    running.signal(signal.SIGKILL)
    running.wait()
    image = scene.photos / "train" / "dark" / "007.png"
    other = image.with_name("999.png")
    scene.note = chance.choice(["removed", "added", "renamed", "class renamed"])
    match scene.note:
        case "removed":
            content = image.read_bytes()
            image.unlink()
            return lambda: image.write_bytes(content) and None
        case "added":
            shutil.copy(image, other)
            return other.unlink
        case "renamed":
            image.rename(other)
            return lambda: other.rename(image) and None
        case _:
            names = [scene.photos / split / "light" for split in ("train", "test")]
            for name in names:
                name.rename(name.with_name("a"))
            return lambda: [name.with_name("a").rename(name) for name in names] and None


def run_to(scene: Scene, workdir: Path, step: int, number: int) -> None:
    """Takes at least ``step`` steps, and ends the run with the signal ``number`` as soon as it has a checkpoint."""
    running = scene.train(workdir)
    saves = number == signal.SIGTERM
    running.wait_until(lambda: scene.step_of(workdir) >= step and (saves or bool(scene.saved_steps_of(workdir))))
    running.signal(number)
    running.wait()


def unreadable_images(scene: Scene, chance: random.Random) -> None:
    """Damages training images that the run has not used yet. Another run, with the same images, tells the result."""
    other = scene.root / "other"
    run_to(scene, other, 5, signal.SIGTERM)
    run_to(scene, scene.workdir, chance.randrange(10, 25), signal.SIGKILL)
    first = max(scene.saved_steps_of(other) + scene.saved_steps)
    unused = scene.images_from(first)
    for image in chance.sample(unused, min(len(unused), chance.choice([1, 1, 2, 3]))):
        image.write_bytes(chance.choice([b"", b"no image", image.read_bytes()[:60]]))
    reference = scene.train(other)
    must_finish(reference)
    scene.expected = scene.ending(reference, other)


KINDS: dict[str, tuple[int, Callable[[Scene, random.Random], Restore | None]]] = {
    "kill -9": (10, kill),
    "TERM, HUP, INT": (16, stop),
    "suspended": (2, pause),
    "readers": (10, reader),
    "second run": (6, second_run),
    "closed pipe": (6, closed_pipe),
    "full output": (1, full_output),
    "full disk": (5, full_disk),
    "full file system": (4, full_file_system),
    "checkpoint: arrays": (8, damaged_file("checkpoints/*/state/**/d/*")),
    "checkpoint: digests": (3, damaged_file("checkpoints/*/digests/*")),
    "checkpoint: Orbax's files": (6, damaged_file("checkpoints/*/**/[_cmo]*")),
    "all checkpoints": (1, every_checkpoint),
    "metrics.jsonl": (4, damaged_file("metrics.jsonl")),
    "config.json": (4, damaged_file("config.json")),
    "classes.txt": (3, damaged_file("classes.txt")),
    "versions.json": (2, damaged_file("versions.json")),
    "data.json": (3, damaged_file("data.json")),
    "lease": (2, damaged_file("lease.json", signal.SIGKILL)),
    "unreadable images": (5, unreadable_images),
    "changed folder": (3, changed_folder),
}
"""Each kind with its weight."""


def kinds(count: int, chance: random.Random) -> Iterator[str]:
    """``count`` names of ``KINDS``, each about as often as its weight says, in random order."""
    total = sum(weight for weight, _ in KINDS.values())
    names = [name for name, (weight, _) in KINDS.items() for _ in range(max(1, round(weight * count / total)))]
    chance.shuffle(names)
    while len(names) < count:
        names.append(chance.choice(list(KINDS)))
    yield from names[:count]
