from __future__ import annotations

import numpy as np
import pytest

from tests.plain_bootstrap import bootstrap_interval
from worker.training.evaluation import pairing
from worker.training.evaluation.bootstrap import RESAMPLES
from worker.training.evaluation.outcomes import OutcomesUnreadableError, pack_outcomes, read_outcomes
from worker.training.evaluation.pairing import paired, unpaired


def test_paired_intervals_are_those_of_a_report() -> None:
    rng = np.random.default_rng(1)
    mine, other, third = rng.random((3, 400))
    third[:7] = np.nan
    found = paired([(mine, other), (third, other)])
    for one, differences in zip(found, (mine - other, (third - other)[7:]), strict=True):
        assert one is not None
        assert one.n == len(differences)
        assert one.difference == pytest.approx(differences.mean())
        assert (one.low, one.high) == pytest.approx(bootstrap_interval(differences))


def test_however_many_are_resampled_at_once_the_interval_is_the_same_and_somebody_hears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = [(mine, mine[::-1].copy()) for mine in np.random.default_rng(4).random((40, 90))]
    whole = paired(pairs)
    monkeypatch.setattr(pairing, "_COUNTS", 700)
    ticks: list[int] = []
    for one, other in zip(paired(pairs, tick=lambda: ticks.append(1)), whole, strict=True):
        assert one is not None
        assert other is not None
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    assert len(ticks) == RESAMPLES


def test_pairing_narrows_what_users_have_in_common() -> None:
    rng = np.random.default_rng(2)
    other = rng.random(300)
    mine = other + rng.normal(0.01, 0.02, 300)
    ((pair,), (apart,)) = paired([(mine, other)]), unpaired([(mine, other)])
    assert pair is not None
    assert apart is not None
    assert pair.difference == pytest.approx(apart.difference)
    assert pair.significant
    assert not apart.significant
    assert apart.high - apart.low > 5 * (pair.high - pair.low)


def test_unpaired_sides_may_differ_in_length_and_nobody_is_nothing() -> None:
    mine, nobody = np.linspace(0, 1, 50), np.full(50, np.nan)
    found = unpaired([(mine, np.zeros(20)), (mine, nobody)])
    assert found[0] is not None
    assert (found[0].n, found[0].difference) == (20, pytest.approx(0.5))
    assert found[1] is None
    assert paired([(mine, nobody)]) == [None]


def test_outcomes_come_back_and_name_no_user() -> None:
    values = np.array([0.5, np.nan], dtype=np.float32)
    data = pack_outcomes(["anna", "ben"], {("cascade", 3): {"test.ndcg@10": values}})
    assert b"anna" not in data
    found = read_outcomes(data)
    assert len(set(found.users.tolist())) == 2
    np.testing.assert_array_equal(found.figures["cascade", 3]["test.ndcg@10"], values)
    for broken in (b"", b"no outcomes", data[:-1], pack_outcomes(["anna"], {("a", 0): {"x": values}})):
        with pytest.raises(OutcomesUnreadableError):
            read_outcomes(broken)
