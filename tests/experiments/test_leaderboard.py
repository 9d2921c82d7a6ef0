"""The leaderboard: its rules, its page, and records that follow from finished runs."""

from __future__ import annotations

import dataclasses

import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from experiments.kit import nets
from experiments.kit.nets import digest_of
from experiments.leaderboard import __main__ as command
from experiments.leaderboard.entries import ENTRIES, MINUTES, Entry
from experiments.leaderboard.page import PAGE, leaderboard_page
from experiments.leaderboard.record import read_records
from tests.experiments.short_run import short_run

RECORDS = read_records()


def test_the_page_is_that_of_the_records():
    assert PAGE.read_text() == leaderboard_page(RECORDS), "run `python -m experiments.leaderboard results`"


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_train_on_all_of_cifar10_and_on_nothing_else(name):
    config = ENTRIES[name].config
    assert (config.data.dataset, config.data.train_split, config.data.test_split) == ("cifar10", "train", "test")
    assert config.init is None
    assert config.evaluate_every == config.epochs, "the test photos are read once"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.entry)
def test_records_keep_the_rules(record):
    assert len({run["seed"] for run in record.runs}) >= 5
    assert record.longest_minutes <= MINUTES
    config = ENTRIES[record.entry].config
    digests = [digest_of(dataclasses.replace(config, seed=run["seed"])) for run in record.runs]
    assert [run["config_sha256"] for run in record.runs] == digests, "the entry has changed since its record"


def test_an_unknown_entry_is_refused():
    with pytest.raises(UsageError, match="unknown entry"):
        command.main(command.Arguments("no_such_entry"))


@pytest.mark.slow
def test_an_entry_writes_a_record_and_trains_no_seed_twice(tmp_path, monkeypatch):
    config = short_run()
    monkeypatch.setattr(command, "ENTRIES", {"tiny": Entry(config, "Tiny.")})
    monkeypatch.setattr(command, "write_leaderboard_page", lambda records: None)
    arguments = command.Arguments("tiny", workdir=tmp_path / "runs", records=tmp_path / "records")
    command.main(dataclasses.replace(arguments, seeds=2))
    assert not read_records(arguments.records), "an entry has five seeds or more"
    command.main(arguments)
    (record,) = read_records(arguments.records)
    assert record.command.endswith("experiments.leaderboard tiny")
    assert [run["seed"] for run in record.runs] == [0, 1, 2, 3, 4]
    assert all(0 < run["seconds"] < 600 and 0 <= run["test_top1_error"] <= 1 for run in record.runs)
    monkeypatch.setattr(nets.loop, "train", lambda *arguments, **options: pytest.fail("a seed was trained again"))
    monkeypatch.setattr(command, "MINUTES", 0)
    with pytest.raises(AlexNetError, match="so no record is written: make it faster than 0"):
        command.main(arguments)
