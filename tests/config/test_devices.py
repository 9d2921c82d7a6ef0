import pytest

from alexnet_jax.config.devices import MOST_VIRTUAL_DEVICES, requested_devices, virtual_devices
from alexnet_jax.errors import UsageError


@pytest.mark.parametrize(
    ("layout", "devices", "data_parallel", "count"),
    [
        ("auto", None, None, None),
        ("auto", 3, None, 3),
        ("single", None, None, 1),
        ("towers", None, None, 2),
        ("towers", 2, 1, 2),
        ("data", None, 4, 4),
        ("mesh", None, 4, 8),
        ("mesh", 8, 4, 8),
        ("hybrid", 4, None, 4),
    ],
)
def test_requested_devices(layout, devices, data_parallel, count):
    assert requested_devices(layout, devices, data_parallel) == count


@pytest.mark.parametrize(
    ("layout", "devices", "data_parallel", "message"),
    [
        ("single", 2, None, "--devices is 2: --layout single needs --devices 1"),
        ("towers", 3, None, "--devices is 3: --layout towers needs --devices 2"),
        ("towers", None, 2, "--data_parallel is 2 with --layout towers: use --layout data, mesh or hybrid"),
        ("mesh", 6, 4, "--devices is 6: --layout mesh with --data_parallel 4 needs --devices 8"),
        ("data", 0, None, "--devices is 0: use a number above 0"),
        ("data", None, -1, "--data_parallel is -1: use a number above 0"),
        ("mash", None, None, "mash"),
    ],
)
def test_contradictions_are_refused_with_what_would_work(layout, devices, data_parallel, message):
    with pytest.raises(UsageError, match=message):
        requested_devices(layout, devices, data_parallel)


def test_a_cpu_gets_the_devices_that_the_run_asks_for_and_not_too_many():
    assert virtual_devices("auto", None, None, towers=2) == 2
    assert virtual_devices("auto", None, None, towers=1) == 1
    assert virtual_devices("auto", 1, None) == virtual_devices("single", None, None) == 1
    assert virtual_devices("data", None, None, towers=1) == 2
    assert virtual_devices("mesh", None, 4) == 8
    assert virtual_devices("data", 1000, None) == MOST_VIRTUAL_DEVICES
