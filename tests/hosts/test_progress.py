import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.hosts.address import Address
from alexnet_jax.hosts.progress import (
    FIRST_LIMIT,
    SHORTEST_LIMIT,
    SILENT_FOR,
    Durations,
    Progress,
    silent_process,
    slowest_process,
)


def progress(count, step=120, activity="trains", host="node7"):
    return Progress(host, step, activity, count, 1)


def test_progress_survives_json():
    assert Progress.from_json(progress(3).to_json()) == progress(3)


def test_an_activity_has_the_first_limit_until_it_is_measured_three_times():
    durations = Durations(None)
    for _ in range(2):
        durations.add("trains", 0.5)
    assert durations.limit("trains") == FIRST_LIMIT
    durations.add("trains", 0.5)
    assert durations.limit("trains") == SHORTEST_LIMIT
    assert durations.limit("reads images") == FIRST_LIMIT


def test_the_limit_is_ten_times_the_longest_or_that_of_the_user():
    durations, of_user = Durations(None), Durations(7.0)
    for seconds in (1.0, 9.0, 2.0):
        durations.add("trains", seconds)
        of_user.add("trains", seconds)
    assert durations.limit("trains") == 90.0
    assert of_user.limit("trains") == 7.0


def test_a_silent_process_is_named():
    told = {0: (progress(9), 100.0), 1: (progress(9), 100.0 - SILENT_FOR - 1)}
    assert silent_process(told, 100.0) == (
        "process 1 on node7 has not answered for 21 seconds: it or its host was stopped, or it has no network; its "
        "last step was 120"
    )
    assert silent_process({0: told[0]}, 100.0 + SILENT_FOR) is None


def test_the_slowest_process_is_named():
    told = {0: progress(9), 1: progress(8, activity="reads images"), 2: progress(9)}
    assert slowest_process(told, 31.0) == (
        "process 1 on node7 is stuck: for 31 seconds it reads images after step 120, and the others wait for it"
    )


def test_no_process_is_named_if_none_goes_on():
    told = {0: progress(9), 1: progress(9)}
    assert slowest_process(told, 31.0) == "no process has made progress for 31 seconds: each trains after step 120"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("node7",), "--coordinator is 'node7': use HOST:PORT, such as localhost:1234"),
        (("node7:1", 0), "--processes is 0: use a number above 0"),
        (("node7:1", 2, 2), "--process_id is 2: use 0 to 1"),
        (("node7:1", None, -1), "--process_id is -1: use 0 to one less than --processes"),
        (
            ("node7:1", 2, None, "none"),
            "--cluster none needs --coordinator HOST:PORT, --processes N and --process_id I",
        ),
    ],
)
def test_an_address_that_cannot_be_right_is_refused(arguments, message):
    with pytest.raises(UsageError) as caught:
        Address(*arguments)
    assert str(caught.value) == message
