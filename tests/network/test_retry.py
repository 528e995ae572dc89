import pytest

from medkd.network.retry import Retries, Transient, retried


def failing(times, error=Transient):
    left = [times]

    def action():
        if left[0]:
            left[0] -= 1
            raise error from ValueError("why")
        return "there"

    return action


def test_waits_double_up_to_a_bound():
    assert Retries(attempts=6, first_wait_s=1, longest_wait_s=5).waits() == [1, 2, 4, 5, 5]
    waited = []
    assert retried(failing(3), Retries(attempts=4, first_wait_s=1), sleep=waited.append) == "there"
    assert [low <= one <= high for one, low, high in zip(waited, (0.5, 1, 2), (1, 2, 4), strict=True)] == [True] * 3


def test_what_goes_on_failing_is_raised_by_its_cause():
    with pytest.raises(ValueError, match="why"):
        retried(failing(4), Retries(attempts=4), sleep=lambda _: None)


def test_what_is_no_matter_of_time_is_raised_at_once():
    waited = []
    with pytest.raises(KeyError):
        retried(failing(1, KeyError), Retries(), sleep=waited.append)
    assert waited == []
