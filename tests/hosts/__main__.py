"""Disturbs one process of small runs, and checks that all processes end and that the same command resumes the run.

    python -m tests.hosts --processes 4 --devices 1 --disturbances 30 --only SIGTERM

A stop has to save the same step in all processes. After any other disturbance, every process has to end within 60
seconds with an error. The run that the same command then finishes has to have the parameters of an undisturbed one.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import tests.chaos.__main__  # noqa: F401  (imports what the processes need, before they are forked)
from tests.chaos.scene import Ending
from tests.hosts.job import ACTS, STOPS, Job, at_step, random_step

_LONGEST = 60.0


def main() -> int:
    """Runs the script. Returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--devices", type=int, default=1, help="of each process")
    parser.add_argument("--disturbances", type=int, default=len(ACTS), help="how many")
    parser.add_argument("--only", nargs="+", choices=list(ACTS), default=list(ACTS), help="only these kinds, in turn")
    parser.add_argument("--victim", type=int, help="the process to disturb; by default a random one")
    parser.add_argument("--step_timeout", type=float, help="as in the command")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    root = Path(tempfile.mkdtemp(prefix="alexnet-hosts-"))
    harm = 0
    try:
        undisturbed = Job(root / "undisturbed", options.processes, options.devices).finish()
        print(json.dumps({"undisturbed": undisturbed.digest, "evaluations": undisturbed.evaluations}), flush=True)
        for number in range(options.disturbances):
            kind = options.only[number % len(options.only)]
            victim = chance.randrange(options.processes) if options.victim is None else options.victim
            job = Job(root / str(number), options.processes, options.devices, root / "undisturbed" / "photos")
            job.options = () if options.step_timeout is None else ("--step_timeout", options.step_timeout)
            try:
                note = _disturb(kind, job, victim, random_step(chance), undisturbed)
            except (AssertionError, TimeoutError) as failure:
                note, harm = f"HARM {failure}", harm + 1
            finally:
                for process in job.running:
                    process.signal(signal.SIGKILL)
            print(f"{number + 1:3}  {kind:8} process {victim} of {options.processes}: {note}", flush=True)
            shutil.rmtree(job.root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"{options.disturbances} disturbances, {harm} did harm")
    return int(harm > 0)


def _disturb(kind: str, job: Job, victim: int, step: int, undisturbed: Ending) -> str:
    """What happened, in words. Raises AssertionError if it was not what the module's docstring says."""
    job.start_all(prepare={victim: at_step(step, ACTS[kind])})
    if kind in STOPS:
        statuses, seconds = job.wait(), 0.0
        assert statuses == [128 + signal.SIGTERM] * job.processes, f"{statuses} {job.messages()}"
        saved = job.saved_steps
        assert saved, "nothing was saved"
        assert saved[-1] > step, f"saved {saved} after a signal in step {step}"
        found = f"saved step {saved[-1]}"
    else:
        survivors = [process for index, process in enumerate(job.running) if index != victim]
        assert survivors[0].wait_until(lambda: job.step >= step - 10)
        reached = time.monotonic()
        for process in survivors:
            assert process.wait(_LONGEST + 60) != 0, f"a survivor ended without an error: {job.messages()}"
        seconds = time.monotonic() - reached
        assert seconds <= _LONGEST, f"the last survivor ended after {seconds:.0f} s: {job.messages()}"
        if job.running[victim].poll() is None:  # a stopped process does not end
            job.running[victim].signal(signal.SIGKILL)
            job.running[victim].wait()
        lines = [line for process in survivors for line in process.stderr.splitlines() if "error" in line]
        found = f"survivors ended within {seconds:.0f} s: {lines[0] if lines else survivors[0].stderr[-300:]}"
    ending = job.finish()
    assert ending.digest == undisturbed.digest, f"the parameters differ: {ending.digest}"
    assert ending.evaluations == undisturbed.evaluations, f"the evaluations differ: {ending.evaluations}"
    return found


if __name__ == "__main__":
    sys.exit(main())
