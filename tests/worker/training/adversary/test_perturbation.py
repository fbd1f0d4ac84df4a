import torch

from worker.training.adversary.perturbation import (
    OFF,
    adversary_of,
    ascent,
    history_perturbation,
    perturb_points,
)
from worker.training.losses.bce import BCE, Points
from worker.training.seeding import generator_for
from worker.training.settings import Arm
from worker.training.spec import TrainSpec


def random_points(scale: float = 1.0) -> Points[None]:
    values = torch.randn(3, 40, 8, generator=generator_for(0, "points"), dtype=torch.float64)
    return Points(tuple(value * scale for value in values), None)


def perturbed(points: Points[None], epsilon: float) -> Points[None]:
    return perturb_points(points, BCE.with_gradient(points)[1], epsilon)


def test_points_move_by_a_fraction_of_their_own_mean_length() -> None:
    points = random_points()
    moved = perturbed(points, 0.1)
    for before, after in zip(points.vectors, moved.vectors, strict=True):
        lengths = (after - before).norm(dim=-1)
        torch.testing.assert_close(lengths, (0.1 * before.norm(dim=-1).mean()).expand(40))


def test_points_move_along_their_own_gradient() -> None:
    points = random_points()
    vectors = [vector.requires_grad_() for vector in points.vectors]
    gradients = torch.autograd.grad(BCE(points), vectors)
    for before, after, gradient in zip(vectors, perturbed(points, 0.01).vectors, gradients, strict=True):
        cosine = torch.nn.functional.cosine_similarity(after - before, gradient)
        torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_perturbed_points_are_ranked_worse_but_little() -> None:
    points = random_points(scale=0.3)
    clean, small, large = BCE(points), BCE(perturbed(points, 0.03)), BCE(perturbed(points, 0.1))
    assert clean < small < large < clean + 0.5


def test_the_matching_loss_trains_all_three_with_the_perturbation_held_fixed() -> None:
    points = random_points()
    vectors = [vector.requires_grad_() for vector in points.vectors]
    moved = perturbed(points, 0.2)
    gradients = torch.autograd.grad(BCE(moved), vectors)
    pairs = zip(moved.vectors, vectors, strict=True)
    constant: Points[None] = Points(tuple((m - p).detach() + p for m, p in pairs), None)
    for gradient, expected in zip(gradients, torch.autograd.grad(BCE(constant), vectors), strict=True):
        torch.testing.assert_close(gradient, expected)
        assert gradient.abs().max() > 0


def test_a_saturated_position_does_not_move() -> None:
    h = torch.tensor([[1e3, 0.0]])
    points: Points[None] = Points((h, h, -h), None)  # σ is exactly 0 and 1 in float32: no gradient
    for before, after in zip(points.vectors, perturbed(points, 0.5).vectors, strict=True):
        assert torch.equal(before, after)


def test_ascent_is_finite_at_any_size_of_gradient() -> None:
    gradient = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [1e-18, 0.0], [0.0, 1e18]])
    moved = ascent(gradient, torch.tensor(2.0))
    torch.testing.assert_close(moved, torch.tensor([[0.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]))


def test_history_is_moved_by_its_weight_and_padding_is_not() -> None:
    generator = generator_for(0, "history")
    e_BLD, gradient_BLD = torch.randn(2, 2, 3, 4, generator=generator)
    m_BL = torch.tensor([[True, True, True], [True, False, False]])
    w_BL = torch.tensor([[0.5, 1.0, 2.0], [1.5, 9.0, 9.0]])
    delta_BLD = history_perturbation(e_BLD, gradient_BLD, w_BL, m_BL, 0.1)
    mean_length = e_BLD[m_BL].norm(dim=-1).mean()
    torch.testing.assert_close(delta_BLD.norm(dim=-1), 0.1 * mean_length * w_BL * m_BL)
    cosine = torch.nn.functional.cosine_similarity(delta_BLD[m_BL], gradient_BLD[m_BL])
    torch.testing.assert_close(cosine, torch.ones(4))


def test_history_without_gradient_stays() -> None:
    ones = torch.ones(1, 2, 4)
    delta_BLD = history_perturbation(ones, 0 * ones, torch.ones(1, 2), torch.ones(1, 2).bool(), 0.5)
    assert torch.equal(delta_BLD, 0 * ones)


def test_arms_have_their_adversaries() -> None:
    spec = TrainSpec(epsilon_match=0.2, lambda_match=0.0, epsilon_history=0.3, lambda_history=2.0)
    assert adversary_of(spec, "standard") == OFF
    assert adversary_of(spec, "adversarial") == adversary_of(spec, "cascade")
    cascade = adversary_of(spec, "cascade")
    assert (cascade.matches, cascade.rewrites_history) == (False, True)
    assert (cascade.perturbs_history, cascade.replaces_history) == (True, False)


def test_only_arms_that_perturb_the_history_step_towards_items() -> None:
    names: tuple[Arm, ...] = ("standard", "adversarial", "cascade", "cascade_replacement")

    def found(**settings: float | str) -> list[tuple[bool, bool]]:
        spec = TrainSpec.model_validate(settings)
        return [(arm.towards_items, arm.draws_items) for arm in (adversary_of(spec, name) for name in names)]

    no, yes, replacing = (False, False), (True, True), (False, True)
    assert found() == [no, yes, yes, replacing]
    assert found(perturb_towards="gradient") == [no, no, no, replacing]
    for off in ("epsilon_history", "lambda_history"):
        assert not any(draws for _, draws in found(**{off: 0.0})[:3])


def test_the_replacing_arm_has_level_one_and_replaces_instead_of_perturbing() -> None:
    arm = adversary_of(TrainSpec(epsilon_match=0.2, epsilon_history=0.3), "cascade_replacement")
    assert (arm.matches, arm.epsilon_history, arm.replace_share) == (True, 0.0, 0.15)
    assert (arm.rewrites_history, arm.perturbs_history, arm.replaces_history) == (True, False, True)
    for off in (TrainSpec(replace_share=0), TrainSpec(lambda_history=0)):
        arm = adversary_of(off, "cascade_replacement")
        assert (arm.rewrites_history, arm.perturbs_history, arm.replaces_history) == (False,) * 3
