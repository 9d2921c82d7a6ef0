"""The ``alexnet train`` command from end to end."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet_jax import load_run
from alexnet_jax.config import ScheduleConfig
from alexnet_jax.hints import command
from alexnet_jax.presets import preset
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config
from tests.helpers.references import REFERENCES
from tests.helpers.run_directories import write_run
from tests.helpers.slow import slow

ALEXNET = [sys.executable, "-m", "alexnet_jax"]
# a short run: the quick run's net on a few photos
FAST = ["--preset", "quickstart", "--batch_size", "8", "--log_every", "1", "--evaluate_every", "2"]
FAST += ["--steps_per_dispatch", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Photos of two classes that differ in brightness."""
    rng = np.random.default_rng(1)
    root = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 12), ("test", 5)):
        for label, kind in enumerate(("dark", "light")):
            (root / part / kind).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 100, (40, 48, 3), dtype=np.uint8) + np.uint8(150 * label)
                Image.fromarray(pixels).save(root / part / kind / f"{index}.jpg")
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory) -> Path:
    """A finished run of 4 epochs, 12 steps."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    done = alexnet("train", "--workdir", workdir, "--data.dataset", folder, "--epochs", 4, *FAST)
    assert done.returncode == 0, done.stderr
    (workdir / "stdout.txt").write_text(done.stdout)
    return workdir


def digest_in(text):
    return re.search(r"SHA-256 ([0-9a-f]{64})", text).group(1)


def test_a_run_prints_its_progress_and_writes_its_files(run):
    stdout = (run / "stdout.txt").read_text()
    assert re.search(
        r"^devices   2 x cpu, half of every layer and its velocity on each, [\d,]+ bytes$", stdout, re.MULTILINE
    )
    assert "\nimages    28 x 28 crops of 32 x 32 pixels\n" in stdout
    assert re.search(r"^ +4\.00 +test +\d\.\d{3} +[\d.]+% +0\.02 +[\d,]+ +0:00$", stdout, re.MULTILINE)
    assert "top-5" not in stdout
    assert re.search(r"^goodput   \d{1,2}\.\d% of 0:0\d:\d\d in steps that were kept$", stdout, re.MULTILINE)
    assert "2 classes, 24 images to train, 10 to test" in stdout
    assert "4 epochs x 3 steps x 8 images = 12 steps, from the start" in stdout
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["split"] == "train"] == list(range(1, 13))
    assert [row["step"] for row in rows if row["split"] == "test"] == [6, 12]
    names = {"step", "epoch", "split", "loss", "top1_error", "top5_error", "learning_rate", "images_per_second", "time"}
    assert all(set(row) == names | ({"input_wait", "steps"} if row["split"] == "train" else set()) for row in rows)
    assert all(0 <= row["input_wait"] <= 1 for row in rows if row["split"] == "train")
    for picture in ("curves.png", "filters.png"):
        with Image.open(run / picture) as opened:
            assert opened.size > (300, 200)


def test_a_finished_run_is_reported_extended_and_overwritten(run, folder, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(run, workdir)
    again = alexnet("train", "--workdir", workdir)
    assert again.returncode == 0, again.stderr
    assert "12 steps, already finished" in again.stdout
    assert digest_in(again.stdout) == digest_in((run / "stdout.txt").read_text())
    more = alexnet("train", "--workdir", workdir, "--epochs", 6, "--devices", 1)
    assert more.returncode == 0, more.stderr
    assert "resumes at step 12" in more.stdout
    assert "every layer and its velocity on each" in more.stdout
    assert re.search(r"kept, 3 starts; \d{1,2}\.\d% with the \d:\d\d:\d\d between them$", more.stdout, re.MULTILINE)
    assert len(RunDirectory(workdir).read_metrics()) == 12 + 2 + 6 + 1
    refused = alexnet("train", "--workdir", workdir, "--optimizer.momentum", 0.5)
    assert refused.returncode == 2
    assert "optimizer.momentum was 0.9 and is now 0.5" in refused.stderr
    assert "--overwrite to delete that run" in refused.stderr
    (workdir / "notes.txt").touch()
    overwriting = ["train", "--workdir", workdir, "--overwrite", "--data.dataset", folder, "--epochs", 1, *FAST]
    wrong = alexnet(*overwriting, "--schedule.rule", "plateau")
    assert (wrong.returncode, RunDirectory(workdir).has_checkpoint) == (2, True)
    fresh = alexnet(*overwriting)
    assert fresh.returncode == 0, fresh.stderr
    assert [row["step"] for row in RunDirectory(workdir).read_metrics()] == [1, 2, 3, 3]
    assert len(RunDirectory(workdir).read_starts()) == 1
    assert sorted(os.listdir(workdir / "checkpoints")) == ["3"]
    assert (workdir / "notes.txt").exists()


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_with_the_same_parameters(run, folder, tmp_path):
    workdir = tmp_path / "killed"
    arguments = ["train", "--workdir", workdir, "--data.dataset", folder, "--epochs", 4, "--checkpoint_every", 2, *FAST]
    for rows in (3, 9):  # killed in the first and in the third epoch, then not killed
        running = subprocess.Popen([*ALEXNET, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while running.poll() is None and len(RunDirectory(workdir).read_metrics()) < rows:
            time.sleep(0.01)
        assert running.poll() is None, running.stderr.read().decode()
        running.kill()
        running.communicate()
    done = alexnet(*arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(r"resumes at step \d", done.stdout)
    assert digest_in(done.stdout) == digest_in((run / "stdout.txt").read_text())
    rows = [(row["step"], row["split"]) for row in RunDirectory(workdir).read_metrics()]
    assert rows == [(row["step"], row["split"]) for row in RunDirectory(run).read_metrics()]
    losses = [[row["loss"] for row in RunDirectory(place).read_metrics()] for place in (workdir, run)]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_a_run_with_every_option_resumes_exactly_and_is_read_as_its_average(folder, tmp_path):
    options = ["--optimizer.ema_decay", 0.9, "--optimizer.clip_norm", 1, "--optimizer.nesterov", "--micro_batches", 2]
    options += ["--label_smoothing", 0.1, "--schedule.rule", "cosine", "--schedule.decay_epochs", 4]
    options += ["--schedule.warm_up_epochs", 1, "--data.dataset", folder, *FAST]
    digests = []
    for name, parts in (("once", [4]), ("twice", [2, 4])):
        for epochs in parts:
            done = alexnet("train", "--workdir", tmp_path / name, "--epochs", epochs, *options)
            assert done.returncode == 0, done.stderr
        digests.append(digest_in(done.stdout))
    assert digests[0] == digests[1]
    assert tree_digest(load_run(tmp_path / "once").params) == digests[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), slow(signal.SIGTERM, 143)])
def test_signals_save_a_checkpoint_and_print_how_to_resume(folder, tmp_path, number, status):
    workdir = tmp_path / "stopped"
    arguments = ["train", "--workdir", workdir, "--data.dataset", folder, "--epochs", 2000, *FAST]
    running = subprocess.Popen(
        [*ALEXNET, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and len(RunDirectory(workdir).read_metrics()) < 4:
        time.sleep(0.01)
    second = alexnet("train", "--workdir", workdir, "--overwrite", *arguments[3:])
    assert second.returncode == 2
    assert f"process {running.pid} on" in second.stderr
    running.send_signal(number)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (status, "")
    step = int(re.search(r"stopped and saved at step ([\d,]+)", out).group(1).replace(",", ""))
    assert f"\n{command('train', '--workdir', workdir)}\n" in out
    assert str(step) in os.listdir(workdir / "checkpoints")


def test_evaluate_counts_every_example(run):
    rows = [row for row in RunDirectory(run).read_metrics() if row["split"] == "test"]
    for views in ("center", "ten-crop"):
        done = alexnet("evaluate", run, "--views", views)
        assert done.returncode == 0, done.stderr
        assert f"test, {views}, step 12, 10 images\n" in done.stdout
        if views == "center":
            assert f"top-1 error {rows[-1]['top1_error']:.2%}" in done.stdout


@pytest.mark.slow
def test_the_same_net_twice_has_the_same_errors_and_other_image_sizes_are_refused(run):
    once, twice = (alexnet("evaluate", *nets) for nets in ([run], [run, run]))
    assert "test, center, 2 nets, 10 images" in twice.stdout, twice.stderr
    assert twice.stdout.partition("images")[2] == once.stdout.partition("images")[2]
    refused = alexnet("evaluate", run, REFERENCES / "caffe" / "tiny_caffe_alexnet.caffemodel")
    assert refused.returncode == 2
    assert "data.image_size is 32 in one net and 77 in another" in refused.stderr


def test_predict_prints_the_best_classes_of_any_image(run, folder, tmp_path):
    light = next((folder / "test" / "light").iterdir())
    Image.open(light).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.open(light).convert("L").resize((300, 20)).save(tmp_path / "grey.webp")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = alexnet("predict", run, light, tmp_path / "cmyk.jpg", tmp_path / "grey.webp", tmp_path / "broken.png")
    assert done.returncode == 1
    assert re.fullmatch(r"alexnet: error: \S+broken\.png: not a readable image .*\n", done.stderr)
    blocks = re.findall(r"^(/\S+)\n((?:  .*\n)+)", done.stdout, re.MULTILINE)
    assert [Path(file).name for file, _ in blocks] == [light.name, "cmyk.jpg", "grey.webp"]
    for _, lines in blocks:
        assert set(re.findall(r"% +(\w+)", lines)) == {"dark", "light"}
        percentages = [float(number) for number in re.findall(r"([\d.]+)%", lines)]
        assert sum(percentages) == pytest.approx(100, abs=0.02)
        assert percentages == sorted(percentages, reverse=True)


# Orbax's readers leave callbacks for an event loop that they have closed, when a file is damaged
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(run, tmp_path):
    workdir = tmp_path / "damaged"
    shutil.copytree(run, workdir)
    for file in (workdir / "checkpoints" / "12" / "state").rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(file.read_bytes()[:-7] + b"damage!")
    done = alexnet("train", "--workdir", workdir)
    assert done.returncode == 0, done.stderr
    assert "checkpoints/12 is damaged" in done.stdout
    assert "resumes at step 6" in done.stdout
    assert digest_in(done.stdout) == digest_in((run / "stdout.txt").read_text())


@pytest.mark.slow
def test_two_thousand_steps_on_one_core_do_not_hang(folder, tmp_path):
    """Two virtual devices number one core, which can deadlock without ``NPROC``."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot bind a process to a core")
    code = "import os, runpy; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "runpy.run_module('alexnet_jax', run_name='__main__', alter_sys=True)"
    arguments = ["train", "--preset", "quickstart", "--workdir", tmp_path / "long", "--data.dataset", folder]
    arguments += ["--batch_size", 2, "--epochs", 167]
    for index in range(5):
        arguments += [f"--model.convs.{index}.features", 4]
    arguments += ["--model.image_size", 12, "--data.image_size", 12, "--evaluate_every", 100, "--log_every", 500]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "finished  2,004 steps" in done.stdout


def test_help_and_version_import_nothing_heavy():
    code = "import sys; from alexnet_jax.__main__ import main; sys.argv = ['alexnet', '{}']\n"
    code += "try: main()\nexcept SystemExit: print(sorted({{'jax', 'numpy', 'tyro', 'flax'}} & set(sys.modules)))"
    for flag in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code.format(flag)], capture_output=True, text=True, timeout=60)
        assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
    done = subprocess.run(
        [sys.executable, "-c", "import sys, alexnet_jax; print('jax' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trian", "unknown command 'trian': did you mean train"),
        ("train --preset quikstart", "unknown preset 'quikstart': did you mean quickstart?"),
        ("train --variant papr", "unknown variant 'papr': did you mean paper?"),
        (
            "train --optimizer.learning_rat 0.1",
            "unknown option --optimizer.learning_rat: did you mean --optimizer.learning_rate or ",
        ),
        ("train --optimizer.learning_rate fast", "--optimizer.learning_rate: .*'fast'"),
        ("train --optimizer.learning_rate -1", "optimizer.learning_rate is -1.0: use a number above 0"),
        ("train --data.dataset cifar11_sample", "unknown data set 'cifar11_sample': did you mean cifar10_sample"),
        ("train --data.dataset ./nowhere", "no such folder"),
        ("train --model.classes 4", "model.classes is 4: .* has 10 classes, use at least as many"),
        ("train --model.convs.0.features 7", "model.convs.0.features is 7: 2 towers cannot divide it"),
        ("train --model.image_size 40", "data.image_size is 32: use at least 40"),
        ("train --layout towers --devices 3", "--devices is 3: --layout towers needs --devices 2"),
        ("train --seed 99999999999", "seed is 99999999999: use 0 to 4294967295"),
        ("train --optimizer.learning_rate inf", "optimizer.learning_rate is inf"),
        ("train --model.local_response_norm.beta nan", "model.local_response_norm.beta is nan: use a finite number"),
        ("train --schedule.epochs 3 inf", r"schedule.epochs is \(3.0, inf\): use a finite number"),
        ("train --epochs 99999999999", "epochs is 99999999999: use at most [0-9]+, because steps are counted in int32"),
        ("train --optimizer.rule optax.lamb", "optimizer.rule is 'optax.lamb': it needs whole arrays.* --devices 1"),
        ("train --schedule.rule plateau", "nothing is held out to validate on; use --data.validation_fraction"),
        ("train --data.validation_fraction 0.99999", "hold out less"),
        ("train --batch_size 9000", "batch_size is 9000: use at most 5000"),
        ("summary papr", "unknown variant 'papr': did you mean paper?"),
        ("evaluate", "no net is named"),
        ("evaluate . --views eleven-crop", "eleven-crop"),
        ("--wrong", "unrecognized|unknown"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(tmp_path, arguments, message):
    done = alexnet(*arguments.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(rf"alexnet: error: .*({message}).*\n", done.stderr), done.stderr
    assert not list(tmp_path.iterdir())  # nothing is left behind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evaluate nowhere", "nowhere: no such file or directory"),
        ("evaluate empty", "empty: has no checkpoint yet"),
        ("predict nowhere cat.jpg", "nowhere: no such file or directory"),
        ("train --workdir broken", "config.json: cannot be read"),
        ("train --workdir bare", "config.json: is missing, and the run has checkpoints; restore it"),
        ("train --data.dataset ./few", "has 1 class folder"),
    ],
)
def test_other_errors_are_one_line_and_status_1(tmp_path, arguments, message):
    (tmp_path / "few" / "cats").mkdir(parents=True)
    (tmp_path / "broken" / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "bare" / "checkpoints" / "1").mkdir(parents=True)  # its config was lost
    (tmp_path / "broken" / "config.json").write_text('{"model": ')
    (tmp_path / "empty").mkdir()
    RunDirectory(tmp_path / "empty").claim(preset("quickstart"), ())
    done = alexnet(*arguments.split(), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(rf"alexnet: error: .*{message}.*\n", done.stderr), done.stderr


def test_a_damaged_photo_is_named_and_skipped(tmp_path, photos):
    folder = photos(per_class=10)
    (folder / "cat" / "3.png").write_bytes(b"no picture")
    done = alexnet("train", "--workdir", tmp_path / "run", "--data.dataset", folder, "--epochs", 1, *FAST)
    assert done.returncode == 0, done.stderr
    assert (
        "\nnote      cat/3.png cannot be read (cannot identify the format); the next image takes its place\n"
        in done.stdout
    )


def test_debug_prints_the_traceback(tmp_path):
    command = [sys.executable, "-m", "alexnet_jax", "--debug", "evaluate", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" in done.stderr
    assert "holds no run" in done.stderr


def test_quiet_prints_only_the_final_line(run, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(run, workdir)
    done = alexnet("train", "--workdir", workdir, "--quiet")
    assert re.fullmatch(r"finished  12 steps, on test images top-1 error [\d.]+%\n", done.stdout)
    assert done.stderr == ""


def test_a_note_suggests_the_schedule_for_more_epochs(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    refused = ["train", "--workdir", tmp_path / "copy", "--optimizer.momentum", 0.5]  # ends before training
    for epochs, scaled in ((52, "38 48"), (13, "9.5 12")):
        stdout = alexnet(*refused, "--epochs", epochs).stdout
        assert stdout == (
            f"note      --epochs {epochs} does not move the drops of the learning rate, which are at epochs 19 24 of "
            f"26; to scale them, use --schedule.epochs {scaled} and another --workdir\n"
        )
    for options in (["--epochs", 4], ["--epochs", 52, "--schedule.epochs", 38, 48]):
        assert alexnet(*refused, *options).stdout == ""


def test_a_note_says_that_more_epochs_stretch_a_cosine(tmp_path):
    for decay_epochs, lines in ((None, 1), (1.0, 0)):
        config = tiny_config(schedule=ScheduleConfig("cosine", decay_epochs=decay_epochs))
        run = write_run(tmp_path / str(decay_epochs), config, tuple("abcdefghij"))
        stdout = alexnet("train", "--workdir", run, "--optimizer.momentum", 0.5, "--epochs", 3).stdout
        assert stdout == lines * (
            "note      --epochs 3 stretches the cosine schedule: the learning rate continues as in a run of 3 epochs\n"
        )


def test_the_next_commands_work_as_printed(run, folder):
    predict, train = (shlex.split(line) for line in (run / "stdout.txt").read_text().splitlines()[-2:])
    image = next((folder / "test" / "dark").iterdir())
    done = alexnet(*[str(image) if word == "IMAGE" else word for word in predict[predict.index("predict") :]])
    assert (done.returncode, done.stderr) == (0, "")
    assert train[-2:] == ["--epochs", "8"]  # twice as many; test_advice.py runs it
    done = alexnet(*train[train.index("train") : -1], 4)
    assert "12 steps, already finished" in done.stdout
