import platform
import resource

import pytest
import torch

from worker.training.runtime import DeviceUnavailableError, Runtime, keep_freed_memory


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=f"device {device!r}|device {device} ") as refused:
        Runtime(device, 1).prepare()
    assert "auto or cpu" in refused.value.hint


def test_the_machine_is_described() -> None:
    runtime = Runtime("cpu", 1)
    device = runtime.prepare()
    assert runtime.environment(device).items() >= {"device": "cpu", "threads": 1}.items()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc")
def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    assert keep_freed_memory()
    for _ in range(3):
        torch.ones(2_000_000)  # 8 MB, mapped or from the heap, which has grown to hold it by now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 20_000, "each of the 20 tensors' 2000 pages was faulted in again"
