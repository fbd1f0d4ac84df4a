import torch

from worker.training.seeding import derive_seed, generator_for


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, "dropout") == derive_seed(0, "dropout")
    assert derive_seed(0, "dropout") == 5694392737992383712
    assert 0 <= derive_seed(2**31 - 1, "batch order", 7) < 2**63


def test_names_and_numbers_give_streams_of_their_own() -> None:
    seeds = [derive_seed(0, "a", 1), derive_seed(0, "a", 2), derive_seed(0, "b", 1), derive_seed(1, "a", 1)]
    seeds += [derive_seed(0, "a1"), derive_seed(0, "a"), derive_seed(0)]
    assert len(set(seeds)) == len(seeds)


def test_a_generator_is_a_function_of_its_name() -> None:
    a, b = (torch.rand(4, generator=generator_for(3, "masks")) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, torch.rand(4, generator=generator_for(3, "other")))
