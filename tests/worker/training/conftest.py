import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and bit-identity is promised for one thread count."""
    torch.set_num_threads(1)
