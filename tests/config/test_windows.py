from hypothesis import given
from hypothesis import strategies as st

from alexnet_jax.config.windows import window_count, window_padding


def test_window_counts_match_the_paper():
    assert window_count(224, 11, 4, 0, "up") == 55
    assert window_count(224, 11, 4, 0, "down") == 54  # tutorials that pad nothing
    assert window_count(227, 11, 4, 0, "down") == 55  # Caffe
    assert window_count(224, 11, 4, 2, "down") == 55  # torchvision's padding
    assert window_padding(224, 11, 4, 0, "up") == (0, 3)


@given(
    size=st.integers(5, 60), window=st.integers(1, 5), stride=st.integers(1, 5), padding=st.integers(0, 2),
    rounding=st.sampled_from(["up", "down"]),
)  # fmt: skip
def test_padding_makes_exactly_the_counted_windows_fit(size, window, stride, padding, rounding):
    count = window_count(size, window, stride, padding, rounding)
    before, after = window_padding(size, window, stride, padding, rounding)
    starts = list(range(0, before + size + after - window + 1, stride))
    assert len(starts) == count
    unread = (size + 2 * padding) - (starts[-1] + window)
    assert unread <= 0 if rounding == "up" else 0 <= unread < stride
