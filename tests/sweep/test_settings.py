"""The runs that the words of a sweep describe."""

import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.sweep.settings import swept_runs, train_the_same_net, without


def test_all_combinations_of_values_and_seeds():
    words = ["--preset", "photos", "--epochs=1,2", "--optimizer.learning-rate", "0.1,0.2", "--quiet"]
    runs = swept_runs(words, range(3, 5))
    assert [run.arguments for run in runs] == [
        (*["--preset", "photos", "--quiet", "--epochs"], epochs, "--optimizer.learning_rate", rate, "--seed", seed)
        for epochs in "12"
        for rate in ("0.1", "0.2")
        for seed in "34"
    ]
    assert len({run.name for run in runs}) == len(runs)
    assert str(runs[0]) == "epochs 1, optimizer.learning_rate 0.1, seed 3"
    assert str(runs[0].setting) == "epochs 1, optimizer.learning_rate 0.1"


def test_a_value_can_be_several_words():
    runs = swept_runs(["--schedule.epochs", "8 12,10 14", "--epochs", "16"], [0])
    assert [run.arguments[2:5] for run in runs] == [
        ("--schedule.epochs", *words) for words in (("8", "12"), ("10", "14"))
    ]
    assert runs[0].name == "schedule.epochs_8-12_seed_0"


def test_several_words_are_one_value():
    (run,) = swept_runs(["--optimizer.frozen", "conv1", "conv2"], [0])
    assert run.arguments == ("--optimizer.frozen", "conv1", "conv2", "--seed", "0")
    assert (run.name, str(run.setting)) == ("seed_0", "as given")


def test_names_are_names_of_directories():
    first, second = swept_runs(["--data.dataset", "/photos/a b,../c"], [0])
    assert (first.name, second.name) == ("data.dataset_-photos-a-b_seed_0", "data.dataset_..-c_seed_0")


@pytest.mark.parametrize(("value", "message"), [("0.1,", "a value is empty"), ("0.1,0.2,0.1", "0.1 is given twice")])
def test_wrong_values_are_refused(value, message):
    with pytest.raises(UsageError, match=rf"^--optimizer.momentum is {value}: {message}"):
        swept_runs(["--optimizer.momentum", value], [0])


def test_options_are_left_out_with_their_values():
    words = ["--seeds=3", "--quiet", "--schedule.epochs", "8", "12", "--workdir", "runs/a"]
    assert without(words, "seeds", "workdir") == ["--quiet", "--schedule.epochs", "8", "12"]


@pytest.mark.parametrize(
    ("words", "others", "is_same"),
    [
        ("--epochs 3 --seed 0", "--seed=0 --epochs 3", True),
        ("--epochs 3 --quiet --log tensorboard", "--epochs 3 --overwrite", True),
        ("--epochs 3", "--epochs 4", False),
        ("--config a.json", "--config b.json", False),
        ("--epochs 3 --batch_size 8", "--epochs 3", False),
    ],
)
def test_the_order_and_options_for_output_make_no_other_net(words, others, is_same):
    assert train_the_same_net(words.split(), others.split()) is is_same
