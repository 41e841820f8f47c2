"""The oracle and the test for bias, with negative controls that both modes must catch.

Monte Carlo checks run at the default family-wise error rate of 1e-6 and a fixed seed.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
)

import sfgrad as sf
from sfgrad.verify.report import Comparison


class Walk(nn.Module):
    """Two draws, the second depends on the first, and a cost after each.

    With `missing`, the second draw and cost claim not to depend on the first.
    """

    def __init__(self, estimator=None, missing=False):
        super().__init__()
        torch.manual_seed(3)
        self.linear = nn.Linear(2, 2)
        self.node = sf.StochasticNode(estimator or sf.ScoreFunction(), name="step")
        self.missing = missing

    def forward(self, x):
        h = self.linear(x)
        a = self.node(Bernoulli(logits=h[:, 0]), x)
        x, h, a = sf.align(x), sf.align(h), sf.align(a)
        sf.add_cost((a - 0.3) ** 2 + 0.5 * h[:, 1] ** 2)
        b = self.node(Bernoulli(logits=h[:, 1] + a), x, parents=[] if self.missing else None)
        a = sf.align(a)
        cost = (b - 0.8) ** 2 * (1 + 2 * a) + a
        sf.add_cost(cost, parents=["step.1"] if self.missing else None)


X = torch.tensor([[0.5, -1.0], [1.5, 0.3]])


def warm(baseline, value=0.6):
    """A moving average that has seen something."""
    baseline.update(torch.full((1, 1, 4), value), None)
    return baseline


def learned():
    torch.manual_seed(5)
    return sf.Learned(nn.Linear(2, 1))


# ---------------------------------------------------------------- the oracle


def test_oracle_equals_the_enumerated_loss():
    model = Walk(sf.Enumerate()).double()
    value, gradients = sf.exact_gradient(model, X.double())
    loss = sf.expectation(model)(X.double())
    wanted = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(value, loss.detach(), rtol=1e-12, atol=0)
    for found, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-12)


def test_oracle_knows_item_branches_convolutions_and_other_languages():
    """A model whose code knows nothing of being replayed, with as many draws as its values say."""

    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1)
            self.unused = nn.Parameter(torch.ones(2))

        def forward(self, x):
            p = self.conv(x.unsqueeze(1)).squeeze(1)
            z = sf.sample(Independent(Bernoulli(logits=p), 1), name="pixels")
            back = self.conv(z.unsqueeze(1)).squeeze(1)
            costs = []
            for row, draw in zip(back, z, strict=True):
                if draw[0].item() > 0.5:  # a branch of one row
                    costs.append(row.square().sum() * int(draw.sum().item()))
                else:
                    costs.append(float(draw.numpy().sum()) + row[0])
            return torch.stack(costs)

    torch.manual_seed(0)
    model = Stubborn().double()
    x = torch.randn(2, 3, dtype=torch.float64)
    value, gradients = sf.exact_gradient(model, x)
    names = [name for name, _ in model.named_parameters()]
    assert len(gradients) == len(names)
    assert not gradients[names.index("unused")].any()
    for index, parameter in enumerate(model.parameters()):  # central differences
        flat = parameter.data.view(-1)
        for i in range(flat.numel()):
            kept = flat[i].item()
            ends = []
            for step in (1e-6, -1e-6):
                flat[i] = kept + step
                ends.append(sf.exact_gradient(model, x)[0].item())
            flat[i] = kept
            difference = (ends[0] - ends[1]) / 2e-6
            assert gradients[index].view(-1)[i].item() == pytest.approx(difference, abs=1e-7)
    assert value > 0


def test_oracle_follows_trees_whose_depth_depends_on_the_draws():
    eta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)

    def until_tails():
        for _ in range(3):
            z = sf.sample(Bernoulli(logits=eta), name="coin")
            sf.add_cost(torch.ones(1, dtype=torch.float64))
            if z.item() < 0.5:
                break

    value, (gradient,) = sf.exact_gradient(until_tails, wrt=[eta])
    p = eta.detach().sigmoid()
    torch.testing.assert_close(value, (1 + p + p**2)[0])
    torch.testing.assert_close(gradient, (1 + 2 * p) * p * (1 - p))


def test_oracle_by_quadrature_of_gaussian_nodes():
    loc = torch.tensor([[0.4, -0.2]], dtype=torch.float64, requires_grad=True)
    tril = torch.tensor([[1.2, 0.0], [0.5, 0.7]], dtype=torch.float64, requires_grad=True)

    def quadratic():
        z = sf.sample(MultivariateNormal(loc, scale_tril=tril), sf.Pathwise(), name="z")
        w = sf.sample(Normal(z.sum(1), 0.5), name="w")
        return w**2

    value, gradients = sf.exact_gradient(quadratic, wrt=[loc, tril], quadrature=5)
    wanted = loc.sum() ** 2 + (tril.sum(0) ** 2).sum() + 0.25
    torch.testing.assert_close(value, wanted.detach())
    for found, want in zip(gradients, torch.autograd.grad(wanted, [loc, tril]), strict=True):
        torch.testing.assert_close(found, want.tril() if want.shape[0] == 2 else want)


def test_oracle_leaves_baselines_and_buffers_alone():
    baseline = warm(sf.MovingAverage())
    model = Walk(sf.ScoreFunction(baseline))
    before = copy.deepcopy(model.state_dict())
    sf.exact_gradient(model, X)
    sf.check_unbiased(model, X)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_oracle_leaves_out_the_parameters_of_baselines():
    model = Walk(sf.ScoreFunction(learned()))
    _, gradients = sf.exact_gradient(model, X)
    assert [g.shape for g in gradients] == [p.shape for p in model.linear.parameters()]


def test_oracle_refuses_too_many_trajectories():
    eta = torch.zeros(1, 20, requires_grad=True)
    with pytest.raises(ValueError, match="node 'z': 1048576 values are more than 100000"):
        sf.exact_gradient(lambda: sf.sample(Bernoulli(logits=eta), name="z").sum(1), wrt=[eta])


def test_oracle_refuses_too_many_trajectories_of_a_tree():
    eta = torch.zeros(1, requires_grad=True)

    def deeper_when_one():
        z = sf.sample(Bernoulli(logits=eta), name="z")
        if z.item():
            for _ in range(5):
                sf.sample(Bernoulli(logits=eta), name="more")
        return z

    with pytest.raises(ValueError, match="more than 10 trajectories"):
        sf.exact_gradient(deeper_when_one, wrt=[eta], max_trajectories=10)


def test_oracle_refuses_too_many_trajectories_of_several_nodes():
    eta = torch.zeros(1, requires_grad=True)

    def seven():
        return sum(sf.sample(Bernoulli(logits=eta), name="z") for _ in range(7))

    message = r"about 128 trajectories \(node 'z': 2, node 'z.1': 2, .* but the limit is 100"
    with pytest.raises(ValueError, match=message):
        sf.exact_gradient(seven, wrt=[eta], max_trajectories=100)


def test_exact_mode_is_refused_where_it_is_impossible():
    eta = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match="about 128 trajectories"):  # of all rows together
        sf.check_unbiased(
            lambda: sf.sample(Bernoulli(logits=eta)), wrt=[eta], mode="exact", max_outcomes=100
        )
    with pytest.raises(ValueError, match="node 'z' is continuous"):
        sf.check_unbiased(lambda: sf.sample(Normal(eta, 1.0), name="z"), wrt=[eta], mode="exact")


def test_a_tensor_of_single_precision_is_named():
    eta = torch.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"wrt\[0\] is neither float64 nor .*: make it float64"):
        sf.check_unbiased(lambda: sf.sample(Bernoulli(logits=eta)), wrt=[eta])


def test_oracle_refuses_a_continuous_node():
    eta = torch.zeros(2, requires_grad=True)
    with pytest.raises(
        ValueError, match=r"node 'z' is continuous \(Normal\): give it an order of quadrature, qua"
    ):
        sf.exact_gradient(lambda: sf.sample(Normal(eta, 1.0), name="z"), wrt=[eta])
    with pytest.raises(ValueError, match="node 'z': Poisson cannot be enumerated: it has no fin"):
        sf.exact_gradient(lambda: sf.sample(Poisson(eta + 1), name="z"), wrt=[eta])


def test_oracle_says_that_a_cost_is_nan_not_that_it_is_random():
    eta = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="NaN or infinite on a trajectory"):
        sf.exact_gradient(lambda: sf.sample(Bernoulli(logits=eta)) * torch.nan, wrt=[eta])


def interacting(kind, eta):
    z = sf.sample(Bernoulli(logits=eta), name="z")
    if kind == "mean":
        return (z - z.mean()) ** 2
    if kind == "product":
        return z * z.roll(1)
    if kind == "majority":
        return z * float(z.sum() > 3)
    if kind == "later node":
        return sf.sample(Bernoulli(logits=z.cumsum(0)), name="w")
    return F.batch_norm(z.unsqueeze(1), None, None, training=True).squeeze(1) ** 4


@pytest.mark.parametrize("kind", ["mean", "product", "majority", "later node", "batch norm"])
def test_oracle_refuses_rows_that_interact(kind):
    eta = torch.zeros(6, requires_grad=True)
    with pytest.raises(ValueError, match="rows interact: changing the draw of node 'z' in row"):
        sf.exact_gradient(lambda: interacting(kind, eta), wrt=[eta])


@pytest.mark.parametrize("kind", ["dropout", "unrecorded draw"])
def test_oracle_refuses_randomness_it_does_not_know_of(kind):
    eta = torch.zeros(6, requires_grad=True)

    def fn():
        z = sf.sample(Bernoulli(logits=eta))
        noise = F.dropout(torch.ones(6)) if kind == "dropout" else Bernoulli(logits=eta).sample()
        return z + noise

    with pytest.raises(ValueError, match="two replays with the same draws differ"):
        sf.exact_gradient(fn, wrt=[eta])


def test_one_hidden_draw_is_not_missed_by_chance():
    """A single fair coin repeats half of the time; fifteen repeats find it."""
    eta = torch.zeros(1, requires_grad=True)
    torch.manual_seed(0)
    for _ in range(50):
        with pytest.raises(ValueError, match="two replays with the same draws differ"):
            sf.exact_gradient(
                lambda: sf.sample(Bernoulli(logits=eta)) + torch.rand(1).round(), wrt=[eta]
            )


def test_oracle_puts_replaced_buffers_back_and_differentiates_through_used_ones():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(2), nn.Linear(2, 1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls = self.calls + 1
            return sf.sample(Bernoulli(logits=self.linear(self.norm(x)).squeeze(1)))

    model = Model().eval()
    sf.exact_gradient(model, X)
    assert sf.check_unbiased(model, X, mode="exact", repeats=30)
    assert model.calls.item() == 0


def test_oracle_refuses_nothing_to_differentiate_by():
    with pytest.raises(ValueError, match="no tensor to differentiate with respect to"):
        sf.exact_gradient(lambda: sf.sample(Bernoulli(torch.ones(2))))
    with pytest.raises(ValueError, match="no tensor to differentiate with respect to"):
        sf.check_unbiased(lambda: sf.sample(Bernoulli(torch.ones(2))))


def test_oracle_refuses_a_model_without_cost():
    eta = torch.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="the graph has no cost"):
        sf.exact_gradient(lambda: None, wrt=[eta])


def test_oracle_refuses_costs_that_are_not_finite():
    eta = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="NaN or infinite on a trajectory"):
        sf.exact_gradient(lambda: 1 / sf.sample(Bernoulli(logits=eta)), wrt=[eta])


# ---------------------------------------------------------------- conformance


ESTIMATORS = {
    "score function": lambda: sf.ScoreFunction(),
    "two samples": lambda: sf.ScoreFunction(samples=2),
    "constant": lambda: sf.ScoreFunction(sf.Constant(0.4)),
    "moving average": lambda: sf.ScoreFunction(warm(sf.MovingAverage(0.9))),
    "learned": lambda: sf.ScoreFunction(learned()),
    "leave-one-out": lambda: sf.ScoreFunction(sf.LeaveOneOut(), samples=2),
    "enumerate": lambda: sf.Enumerate(),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("mode", ["exact", "monte_carlo"])
def test_every_estimator_and_baseline_is_unbiased(name, mode):
    model = Walk(ESTIMATORS[name]())
    twice = name in ("two samples", "leave-one-out")
    x = X[:1] if twice and mode == "exact" else X
    repeats = 30 if mode == "exact" else 400
    report = sf.check_unbiased(model, x, mode=mode, seed=1, repeats=repeats)
    assert report, report
    assert report.mode == mode


def distributions(h):
    """Every kind of discrete node: rows of 2 parameters."""
    return {
        "Bernoulli, plain": Bernoulli(logits=h),
        "Bernoulli, independent": Independent(Bernoulli(logits=h), 1),
        "Categorical": Categorical(logits=h),
        "Categorical, independent": Independent(Categorical(logits=h.unsqueeze(1) * X[0, 0]), 1),
        "one-hot": OneHotCategorical(logits=h),
    }


@pytest.mark.parametrize("estimator", ["score function", "leave-one-out", "enumerate"])
@pytest.mark.parametrize("name", list(distributions(X)))
def test_every_discrete_distribution(name, estimator):
    linear = nn.Linear(2, 2)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear
            self.node = sf.StochasticNode(ESTIMATORS[estimator]())

        def forward(self, x):
            z = self.node(distributions(self.linear(x))[name]).to(x.dtype)
            return (z.reshape(len(z), -1) * torch.arange(1, z[0].numel() + 1)).sum(1) ** 2

    report = sf.check_unbiased(Model(), X[:1], mode="exact", repeats=30)
    assert report, report


@pytest.mark.parametrize("estimator", [sf.ScoreFunction(), sf.Pathwise()])
def test_gaussian_nodes_by_quadrature_and_by_reference(estimator):
    loc = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def fn():
        return (sf.sample(Normal(loc, 1.0), estimator, name="z") - 1) ** 2

    report = sf.check_unbiased(fn, wrt=[loc], mode="exact", quadrature={"z": 4}, repeats=30)
    assert report, report
    report = sf.check_unbiased(fn, wrt=[loc], seed=0, repeats=300)
    assert report, report
    assert report.mode == "monte_carlo"
    report = sf.check_unbiased(
        fn, wrt=[loc], seed=0, mode="monte_carlo", reference=sf.Pathwise(), repeats=300
    )
    assert report, report


def test_samples_of_the_expectation_and_an_expectation_itself():
    model = Walk(sf.ScoreFunction(sf.LeaveOneOut()))
    assert sf.check_unbiased(model, X[:1], samples=2, mode="exact", repeats=30)
    objective = sf.expectation(model, samples=2)
    assert sf.check_unbiased(objective, X[:1], mode="exact", repeats=30)


def test_the_gradient_check_of_the_rl_ntm_paper():
    """All (3·3·2)² = 324 action sequences of two steps, against central differences."""

    class Controller(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.weights = nn.Parameter(torch.randn(8, 2, dtype=torch.float64))

        def forward(self, x):
            state = x
            for _ in range(2):
                h = (self.weights @ state.unsqueeze(-1)).squeeze(-1)
                head = sf.sample(Categorical(logits=h[:, :3]), name="input")
                memory = sf.sample(Categorical(logits=h[:, 3:6]), name="memory")
                out = sf.sample(Categorical(logits=h[:, 6:]), name="output")
                move = torch.stack([head - memory, out], 1)
                state = torch.tanh(state + 0.5 * move)
                sf.add_cost(state.square().sum(1) * (1 + out))

    model, x = Controller(), torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    report = sf.check_unbiased(model, x, mode="exact", repeats=30)
    assert report, report
    value, (gradient,) = sf.exact_gradient(model, x)
    for i, j in ((0, 0), (7, 1)):
        ends = []
        for step in (1e-6, -1e-6):
            moved = copy.deepcopy(model)
            moved.weights.data[i, j] += step
            ends.append(sf.exact_gradient(moved, x)[0].item())
        assert gradient[i, j].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)
    assert value > 0


class Flattened(sf.Estimator):
    """Draws from a density of its own, which a script cannot choose for it."""

    def draw(self, distribution, batch_ndims):
        flat = Bernoulli(logits=distribution.logits.detach() / 2)
        value = flat.sample()
        log_prob = sf.row_log_prob(distribution, value, batch_ndims)
        return sf.Draw(value, log_prob, sf.row_log_prob(flat, value, batch_ndims))


def test_an_estimator_with_noise_of_its_own_is_never_taken_for_exact():
    eta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    for _ in range(8):
        report = sf.check_unbiased(
            lambda: (sf.sample(Bernoulli(logits=eta), Flattened()) - 0.3) ** 2,
            wrt=[eta],
            repeats=50,
        )
        assert report.mode == "monte_carlo"


@pytest.mark.parametrize("mode", ["exact", "monte_carlo"])
def test_rounding_is_no_bias_where_the_gradient_is_zero(mode):
    eta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def cost_without_the_draw():
        z = sf.sample(Bernoulli(logits=eta), sf.ScoreFunction(sf.LeaveOneOut(), samples=3))
        return 0 * z + 0.7 * scale * scale.sin()

    report = sf.check_unbiased(
        cost_without_the_draw, wrt=[eta, scale], mode=mode, repeats=50, seed=0
    )
    assert report, report


def test_a_check_under_no_grad_has_gradients():
    with torch.no_grad():
        assert sf.check_unbiased(Walk(), X[:1], mode="exact", repeats=30)


# ---------------------------------------------------------------- negative controls


class SeesItsOwnDraw(sf.Baseline):
    """The mean over all copies, the own one included."""

    def read(self, cost_to_go, prediction):
        return cost_to_go.mean(1, keepdim=True)


class UpdatesBeforeItReads(sf.MovingAverage):
    """Holds the present cost when it is read."""

    def read(self, cost_to_go, prediction):
        super().update(cost_to_go, None)
        return super().read(cost_to_go, prediction)


class KeepsItsGradient(sf.Estimator):
    """A straight-through draw that is scored as well."""

    def draw(self, distribution, batch_ndims):
        draw = sf.ScoreFunction().draw(distribution, batch_ndims)
        value = draw.value + distribution.probs - distribution.probs.detach()
        return draw._replace(value=value)


class WrongSign(sf.Estimator):
    """Weight with the derivative of 1/p."""

    def draw(self, distribution, batch_ndims):
        draw = sf.ScoreFunction().draw(distribution, batch_ndims)
        return draw._replace(log_prob=-draw.log_prob, log_density=-draw.log_density)


class EarlyCost(Walk):
    """A cost credited as one that was recorded before the draw it depends on would be."""

    def forward(self, x):
        h = self.linear(x)
        a = sf.sample(Bernoulli(logits=h[:, 0]), name="step")
        sf.add_cost((a - 0.3) ** 2 * (1 + x[:, 0]), parents=[], name="too early")
        sf.add_cost(0.1 * a)


BROKEN = {
    "a baseline that includes its own draw's cost": (
        lambda: Walk(sf.ScoreFunction(SeesItsOwnDraw(), samples=2)),
        {"step", "step.1"},
    ),
    "a moving average updated before it is read": (
        lambda: Walk(sf.ScoreFunction(warm(UpdatesBeforeItReads(0.5)))),
        {"step", "step.1"},
    ),
    "a missing downstream cost": (lambda: Walk(missing=True), {"step"}),
    "a cost recorded before the draw it depends on": (EarlyCost, {"step"}),
    "a draw that kept its gradient while being scored": (
        lambda: Walk(KeepsItsGradient()),
        {"step", "step.1"},
    ),
    "a weight with the wrong sign": (lambda: Walk(WrongSign()), {"step", "step.1"}),
}


def test_a_bound_method_is_checked_with_its_own_parameters():
    """Its module is copied too, and the gradient is that of the copy's parameters."""

    class Model(nn.Module):
        def __init__(self, estimator):
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(1, dtype=torch.float64))
            self.estimator = estimator

        def cost(self):
            return sf.sample(Bernoulli(logits=self.logits), self.estimator)

    for estimator, right in ((sf.ScoreFunction(), True), (WrongSign(), False)):
        model = Model(estimator)
        assert bool(sf.check_unbiased(model.cost, wrt=[model.logits])) is right


@pytest.mark.parametrize("mode", ["exact", "monte_carlo"])
@pytest.mark.parametrize("name", BROKEN)
def test_negative_controls_are_caught_and_the_nodes_named(name, mode):
    make, nodes = BROKEN[name]
    rows = 64 if mode == "monte_carlo" and "moving average" not in name else 1
    report = sf.check_unbiased(
        make(), X[:1].repeat(rows, 1), mode=mode, seed=2, repeats=100 if rows > 1 else 1000
    )
    assert not report
    assert "BIASED" in str(report)
    assert "linear" in str(report)
    worst = max(c.bias / c.allowed for c in report.comparisons)
    assert worst > (1e4 if mode == "exact" else 1)
    assert report.nodes
    assert set(report.nodes) <= nodes


@pytest.mark.parametrize("mode", ["exact", "auto"])
def test_a_bias_is_told_where_a_node_alone_has_too_many_outcomes(mode):
    """All enumerate, together without any draw; alone with ones that are drawn for every copy."""
    eta = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    slope = torch.arange(3).double()

    def fn():
        logits = eta.unsqueeze(1) * slope
        first = sf.sample(Categorical(logits=logits), sf.Enumerate(), name="first")
        logits, first = sf.align(logits), sf.align(first)
        second = sf.sample(Categorical(logits=logits), sf.Enumerate(), name="second")
        first = sf.align(first)
        sf.add_cost((first + second) ** 2.0, parents=["first"])
        sf.add_cost(0.1 * second)

    report = sf.check_unbiased(fn, wrt=[eta], mode=mode, repeats=30, max_outcomes=100)
    assert report.mode == "exact"
    assert report.verdict == "BIASED"
    assert set(report.nodes) == {"second"}
    assert set(report.untested) == {"first"}
    assert "node 'first' was not tested alone: there are about" in str(report)


@pytest.mark.parametrize("estimator", [sf.ScoreFunction, WrongSign])
def test_a_masked_value_is_no_outcome(estimator):
    logits = torch.tensor([[0.0, 0.5, -torch.inf]], dtype=torch.float64, requires_grad=True)

    def fn():
        return (sf.sample(Categorical(logits=logits), estimator()).double() - 0.3) ** 2

    report = sf.check_unbiased(fn, wrt=[logits], mode="exact")
    assert bool(report) == (estimator is sf.ScoreFunction), report


# ---------------------------------------------------------------- what a report hangs on


class OffByAFactor(sf.Estimator):
    """Its score is too large by a factor, and the weight is still 1."""

    def __init__(self, factor):
        self.factor = factor

    def draw(self, distribution, batch_ndims):
        draw = sf.ScoreFunction().draw(distribution, batch_ndims)
        log_prob = self.factor * (draw.log_prob - draw.log_prob.detach())
        return draw._replace(log_prob=log_prob, log_density=torch.zeros_like(log_prob))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_tolerance_is_relative_to_the_magnitude_of_the_estimates(scale):
    eta = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)

    def check(error, **settings):
        estimator = OffByAFactor(1 + error)
        return sf.check_unbiased(
            lambda: scale * (sf.sample(Bernoulli(logits=eta), estimator, name="z") - 0.3) ** 2,
            wrt=[eta],
            mode="exact",
            repeats=30,
            **settings,
        )

    assert check(0.0)
    assert check(1e-11)
    assert check(1e-7).verdict == "BIASED"
    assert check(1e-7, rtol=1e-6)


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="mode is 'sampled': it must be 'auto', 'exact' or 'monte"):
        sf.check_unbiased(Walk(), X, mode="sampled")


def test_a_bias_of_several_nodes_together_is_told():
    fine = sf.BiasReport("exact", [Comparison("theta", 1.0, 1.0, 0.0, 1e-9)], {})
    together = sf.BiasReport("exact", [Comparison("theta", 1.0, 2.0, 1.0, 1e-9)], {})
    named = sf.BiasReport("exact", [Comparison("theta", 1.0, 2.0, 1.0, 1e-9)], {"z": 1.0})
    line = "no node shows a bias alone: several together cause it"
    assert [line in str(report) for report in (fine, together, named)] == [False, True, False]
    assert "node 'z' alone: bias 1.00e+00" in str(named)
