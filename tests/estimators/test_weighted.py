"""What holds of the estimators whose copies are weighed, beside what holds of every one."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Distribution, Normal

import sfgrad as sf
from tests.comparison import THRESHOLD
from tests.estimators.members import BITS, START, WEIGHTED, distances, value_and_gradient

ALL = pytest.mark.parametrize("case", WEIGHTED.values(), ids=WEIGHTED)
COPYING = {name: case for name, case in WEIGHTED.items() if case.own > 1}
COPIED = pytest.mark.parametrize("case", COPYING.values(), ids=COPYING)
WAYS = [(name, case, taken) for name, case in WEIGHTED.items() for taken in (False, True)]
WAYS = [way for way in WAYS if way[1].own > 1 or not way[2]]  # some make no copies
OWN_AND_TAKEN = pytest.mark.parametrize(
    ("case", "taken"),
    [way[1:] for way in WAYS],
    ids=[f"{name}, {'taken' if taken else 'own'}" for name, _, taken in WAYS],
)


# ---------------------------------------------------------------- right


class TwoNodes(nn.Module):
    """The case's node feeds one under the score function, whose copies go on."""

    def __init__(self, case, samples):
        super().__init__()
        self.case = case
        self.eta = nn.Parameter(START.clone())
        self.theta = nn.Parameter(torch.tensor([0.2, 0.7], dtype=torch.float64))
        self.node = sf.StochasticNode(case.make(samples))
        self.other = sf.StochasticNode(sf.ScoreFunction(sf.MovingAverage()))

    def forward(self, x):
        z = self.node(self.case.distribution(self.eta * x.unsqueeze(-1)))
        feature = self.case.feature(z)
        bit = self.other(Bernoulli(logits=self.theta[0] + self.theta[1] * feature))
        return self.case.cost(z) * (0.5 + bit) + self.theta[0] * bit


X = torch.ones(10, dtype=torch.float64)


@OWN_AND_TAKEN
def test_the_check_passes_on_two_nodes(case, taken):
    model = TwoNodes(case, None if taken else case.own)
    report = sf.check_unbiased(
        sf.expectation(model, samples=case.own if taken else 1),
        X,
        mode="monte_carlo",
        repeats=150,
        seed=1,
    )
    assert report, report
    assert report.mode == "monte_carlo"


class Wrong(sf.Estimator):
    """A weight whose derivative is three times too large."""

    def __init__(self, case):
        self.own = case.make(case.own)
        self.baseline = self.own.baseline

    def draw(self, distribution, batch_ndims):
        draw = self.own.draw(distribution, batch_ndims)
        factor = torch.ones_like(draw.log_prob) if draw.factor is None else draw.factor
        more = 3 * factor - 2 * factor.detach()
        log_prob = 3 * draw.log_prob - 2 * draw.log_prob.detach()
        return draw._replace(log_prob=log_prob, factor=more)


@ALL
def test_negative_control_the_check_names_a_wrong_weight(case):
    model = TwoNodes(case, case.own)
    model.node.estimator = Wrong(case)
    report = sf.check_unbiased(model, X.repeat(20), mode="monte_carlo", repeats=100, seed=1)
    assert not report
    assert "node" in report.nodes


@ALL
def test_it_learns(case):
    """The gap to the best is below .05 for each of twenty seeds; the bound is .1."""
    torch.manual_seed(0)
    eta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    node = sf.StochasticNode(case.make(case.own))
    optimizer = torch.optim.Adam([eta, *node.parameters()], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        draw = case.distribution(eta.expand(20, 2))
        sf.expectation(lambda draw=draw: case.cost(node(draw)))().backward()
        optimizer.step()
    best = min(case.cost(value.unsqueeze(0)).item() for value in case.outcomes(eta)[0])
    assert case.truth(eta).item() - best < 0.1


# ---------------------------------------------------------------- devices, copies


DEVICES = ["meta", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture
def unchecked():
    """Distributions do not look at their values, which those on meta have none of."""
    Distribution.set_default_validate_args(False)
    yield
    Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("device", DEVICES)
@OWN_AND_TAKEN
def test_nothing_leaves_the_device(case, taken, device, unchecked):
    """The meta device stands in for an accelerator: mixing it with the CPU is an error."""
    eta = torch.zeros(3, 2, device=device, requires_grad=True)
    estimator = case.make(None if taken else case.own)
    if estimator.baseline is not None:
        estimator.baseline.to(device)
    with sf.StochasticGraph() as graph:
        distribution = case.distribution(sf.branch(eta, case.own) if taken else eta)
        z = sf.sample(distribution, estimator)
        assert z.device.type == device
        sf.add_cost(z.double().reshape(len(z), -1).sum(1))
        graph.loss().backward()
    assert eta.grad.device.type == device


@ALL
def test_copies_go_on_to_every_other_kind_of_node(case):
    """Each later node is unbiased too: the expected cost is a product of known means."""
    torch.manual_seed(0)
    rows = 3000
    loc = torch.full((rows,), 0.3, dtype=torch.float64, requires_grad=True)
    eta = START.expand(rows, 2).clone().requires_grad_()
    others = [
        sf.ScoreFunction(sf.MovingAverage()),
        sf.ScoreFunction(sf.LeaveOneOut(), samples=2),
        sf.Pathwise(),
    ]
    for other in others:
        with sf.StochasticGraph() as graph:
            z = case.take(eta, case.own)
            x = sf.sample(Normal(sf.align(loc), 1.0), other)
            sf.add_cost(sf.align(case.cost(z)) * (1 + x**2))
            loss = graph.loss(reduction="none").view(-1, rows).mean(0)
        gradients = torch.autograd.grad(loss.sum(), [eta, loc])
        parts = [loss.detach().unsqueeze(1), gradients[0], gradients[1].unsqueeze(1)]
        value, *slopes = value_and_gradient(case)
        second = 1 + 1 + 0.3**2
        truth = torch.stack([value * second, *[s * second for s in slopes], value * 2 * 0.3])
        assert (distances(torch.cat(parts, 1), truth) < THRESHOLD).all()


@ALL
def test_a_node_of_each_kind_before_and_after(case):
    """Two nodes of the case, the second with copies of its own, depend on each other."""
    torch.manual_seed(0)
    rows = 2000
    eta = START.expand(rows, 2).clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        first = case.feature(case.take(eta, case.own))
        second = case.take(sf.align(eta) * (1 + first.unsqueeze(1)), case.own)
        sf.add_cost(case.cost(second) * (1 + sf.align(first) ** 2))
        loss = graph.loss(reduction="none").view(-1, rows).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    estimates = torch.cat([loss.detach().unsqueeze(1), gradient], 1)

    start = START.clone().requires_grad_()
    values, probs = case.outcomes(start)
    total = 0.0
    for value, prob in zip(values, probs, strict=True):
        feature = case.feature(value.unsqueeze(0)).squeeze()
        total = total + prob * case.truth(start * (1 + feature)) * (1 + feature**2)
    (slope,) = torch.autograd.grad(total, start)
    truth = torch.cat([total.detach().reshape(1), slope])
    assert (distances(estimates, truth) < THRESHOLD).all()


@COPIED
def test_independent_draws_of_the_same_copies_may_be_compared(case):
    """Before and after a node that takes the copies; leave-one-out sees those draws alone."""
    torch.manual_seed(0)
    rows = 3000
    loc = torch.full((rows,), 0.3, dtype=torch.float64, requires_grad=True)
    eta = START.expand(rows, 2).clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        z_eta = sf.branch(eta, case.own)
        x = sf.sample(Normal(sf.align(loc), 1.0), sf.ScoreFunction(sf.LeaveOneOut()))
        z = sf.sample(case.distribution(z_eta), case.make(None))
        y = sf.sample(Normal(sf.align(loc), 1.0), sf.ScoreFunction(sf.LeaveOneOut()))
        sf.add_cost(case.cost(z) * (1 + x**2) * (1 + y))
        loss = graph.loss(reduction="none").view(-1, rows).mean(0)
    gradients = torch.autograd.grad(loss.sum(), [eta, loc])
    parts = [loss.detach().unsqueeze(1), gradients[0], gradients[1].unsqueeze(1)]
    value, *slopes = value_and_gradient(case)
    others = (2 + 0.3**2) * 1.3
    slope = value * (2 * 0.3 * 1.3 + 2 + 0.3**2)
    truth = torch.stack([value * others, *[s * others for s in slopes], slope])
    assert (distances(torch.cat(parts, 1), truth) < THRESHOLD).all()


@ALL
def test_a_node_is_called_again_and_again(case):
    """With copies of its own, or none: the value of a product is the product of the values."""
    torch.manual_seed(0)
    rows = 1000
    eta = START.expand(rows, 2).clone().requires_grad_()
    node = sf.StochasticNode(case.make(case.own))
    with sf.StochasticGraph() as graph:
        first = case.cost(node(case.distribution(eta)))
        second = case.cost(node(case.distribution(sf.align(eta))))
        sf.add_cost(sf.align(first) * second)
        loss = graph.loss(reduction="none").view(-1, rows).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    value, *slopes = value_and_gradient(case)
    truth = torch.stack([value**2, *[2 * value * slope for slope in slopes]])
    estimates = torch.cat([loss.detach().unsqueeze(1), gradient], 1)
    assert (distances(estimates, truth) < THRESHOLD).all()


# ---------------------------------------------------------------- refusals


@COPIED
def test_copies_that_are_weighed_are_not_joined(case):
    eta = START.expand(3, 2).clone().requires_grad_()
    for taken in (True, False):
        with sf.StochasticGraph():
            z = case.take(eta, None if taken else case.own)
            with pytest.raises(ValueError, match="VIMCO"):
                sf.add_cost(case.cost(z), join=sf.VIMCO())


@ALL
def test_masks_of_single_elements_and_ragged_rows_are_refused(case):
    distribution = case.distribution(torch.zeros(3, 2, requires_grad=True))
    estimator = case.make(case.own)
    if case.draw == BITS:
        mask = torch.ones(3, 2, dtype=torch.bool)
        with sf.StochasticGraph(), pytest.raises(ValueError, match="mask of single elements"):
            sf.sample(distribution, estimator, mask=mask)
    index = torch.tensor([0, 0, 1])
    with sf.StochasticGraph(), pytest.raises(ValueError, match="does not take index="):
        sf.sample(distribution, estimator, index=index)


# ---------------------------------------------------------------- state


@COPIED
def test_it_has_no_parameters(case):
    assert not list(sf.StochasticNode(case.make(case.own)).parameters())
