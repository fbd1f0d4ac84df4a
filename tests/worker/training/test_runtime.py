import pytest

from worker.training.runtime import DeviceUnavailableError, Runtime


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=f"device {device!r}|device {device} ") as refused:
        Runtime(device, 1).prepare()
    assert "auto or cpu" in refused.value.hint


def test_the_machine_is_described() -> None:
    runtime = Runtime("cpu", 1)
    device = runtime.prepare()
    assert runtime.environment(device).items() >= {"device": "cpu", "threads": 1}.items()
