"""What holds of every estimator whose copies are weighed: a conformance suite."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

import sfgrad as sf
from tests.comparison import THRESHOLD
from tests.estimators.weighted import BITS, CASES, START, Case, distances, value_and_gradient

ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
COPYING = {name: case for name, case in CASES.items() if case.copies > 1}
COPIED = pytest.mark.parametrize("case", COPYING.values(), ids=COPYING)
WAYS = [(name, case, taken) for name, case in CASES.items() for taken in (False, True)]
WAYS = [way for way in WAYS if way[1].copies > 1 or not way[2]]  # some make no copies
OWN_AND_TAKEN = pytest.mark.parametrize(
    ("case", "taken"),
    [way[1:] for way in WAYS],
    ids=[f"{name}, {'taken' if taken else 'own'}" for name, _, taken in WAYS],
)


# ---------------------------------------------------------------- right


@OWN_AND_TAKEN
def test_value_and_gradient_are_unbiased(case, taken):
    """At most 1e-6 of all seeds fail by chance, in all comparisons of a case together."""
    torch.manual_seed(0)
    found = distances(case.estimates(taken, 4000), value_and_gradient(case))
    assert (found < THRESHOLD).all(), found


@ALL
def test_negative_control_a_cost_that_is_not_that_of_the_truth_is_found(case):
    torch.manual_seed(0)
    estimates = case.estimates(False, 4000, cost=lambda z: 1.3 * case.cost(z))
    assert (distances(estimates, value_and_gradient(case)) > THRESHOLD).any()


class TwoNodes(nn.Module):
    """The case's node feeds one under the score function, whose copies go on."""

    def __init__(self, case, samples, first=False):
        super().__init__()
        self.case = case
        self.eta = nn.Parameter(START.clone())
        self.theta = nn.Parameter(torch.tensor([0.2, 0.7], dtype=torch.float64))
        self.node = sf.StochasticNode(case.estimator(samples))
        self.other = sf.StochasticNode(sf.ScoreFunction(sf.MovingAverage()))
        self.first = first

    def forward(self, x):
        if self.first:  # the case's node comes second, its parameters depend on the other
            bit = self.other(Bernoulli(logits=self.theta[0] * x))
            z = self.node(self.case.distribution(self.eta + self.theta[1] * bit.unsqueeze(-1)))
            return self.case.cost(z) * (1 + sf.align(bit)) - 0.3 * self.eta[0]
        z = self.node(self.case.distribution(self.eta * x.unsqueeze(-1)))
        feature = self.case.feature(z)
        bit = self.other(Bernoulli(logits=self.theta[0] + self.theta[1] * feature))
        return self.case.cost(z) * (0.5 + bit) + self.theta[0] * bit


X = torch.ones(10, dtype=torch.float64)


@OWN_AND_TAKEN
def test_the_check_passes_on_two_nodes(case, taken):
    model = TwoNodes(case, None if taken else case.copies)
    report = sf.check_unbiased(
        sf.expectation(model, samples=case.copies if taken else 1),
        X,
        mode="monte_carlo",
        repeats=150,
        seed=1,
    )
    assert report, report
    assert report.mode == "monte_carlo"


@ALL
def test_the_check_passes_behind_another_node(case):
    model = TwoNodes(case, case.copies, first=True)
    report = sf.check_unbiased(model, X, mode="monte_carlo", repeats=150, seed=1)
    assert report, report


class Wrong(sf.Estimator):
    """A weight whose derivative is three times too large."""

    def __init__(self, case):
        self.own = case.estimator(case.copies)
        self.baseline = self.own.baseline

    def draw(self, distribution, batch_ndims):
        draw = self.own.draw(distribution, batch_ndims)
        factor = torch.ones_like(draw.log_prob) if draw.factor is None else draw.factor
        more = 3 * factor - 2 * factor.detach()
        log_prob = 3 * draw.log_prob - 2 * draw.log_prob.detach()
        return draw._replace(log_prob=log_prob, factor=more)


@ALL
def test_negative_control_the_check_names_a_wrong_weight(case):
    model = TwoNodes(case, case.copies)
    model.node.estimator = Wrong(case)
    report = sf.check_unbiased(model, X.repeat(20), mode="monte_carlo", repeats=100, seed=1)
    assert not report
    assert "node" in report.nodes


@ALL
def test_it_learns(case):
    """The gap to the best is below .05 for each of twenty seeds; the bound is .1."""
    torch.manual_seed(0)
    eta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    node = sf.StochasticNode(case.estimator(case.copies))
    optimizer = torch.optim.Adam([eta, *node.parameters()], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        draw = case.distribution(eta.expand(20, 2))
        sf.expectation(lambda draw=draw: case.cost(node(draw)))().backward()
        optimizer.step()
    best = min(case.cost(value.unsqueeze(0)).item() for value in case.outcomes(eta)[0])
    assert case.truth(eta).item() - best < 0.1


# ---------------------------------------------------------------- shapes and types


@OWN_AND_TAKEN
def test_two_dimensions_of_rows(case, taken):
    torch.manual_seed(0)
    eta = START.expand(20, 50, 2).clone().requires_grad_()
    with sf.StochasticGraph(batch_ndims=2) as graph:
        z = case.take(eta, None if taken else case.copies)
        assert z.shape[:2] == (20 * case.copies, 50)
        sf.add_cost(case.cost(z))
        loss = graph.loss(reduction="none").view(case.copies, 20, 50).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    estimates = torch.cat([loss.detach().unsqueeze(2), gradient], 2).flatten(0, 1)
    assert (distances(estimates, value_and_gradient(case)) < THRESHOLD).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@OWN_AND_TAKEN
def test_types_are_those_of_the_distribution(case, dtype, taken):
    eta = torch.zeros(3, 2, dtype=dtype, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = case.take(eta, None if taken else case.copies)
        assert z.dtype == case.distribution(eta).sample().dtype
        sf.add_cost(z.float().reshape(len(z), -1).sum(1).to(dtype))
        loss = graph.loss()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    loss.backward()
    assert eta.grad.dtype == dtype
    assert eta.grad.isfinite().all()


@OWN_AND_TAKEN
def test_logits_of_forty_stay_finite(case, taken):
    for dtype in (torch.float32, torch.float64):
        eta = torch.tensor([[40.0, -40.0], [-40.0, -40.0]], dtype=dtype).requires_grad_()
        for _ in range(20):
            with sf.StochasticGraph() as graph:
                z = case.take(eta, None if taken else case.copies)
                sf.add_cost(z.to(dtype).reshape(len(z), -1).square().sum(1))
                loss = graph.loss()
            (gradient,) = torch.autograd.grad(loss, eta)
            assert gradient.isfinite().all()
            assert loss.isfinite()


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
    estimator = case.estimator(None if taken else case.copies)
    if estimator.baseline is not None:
        estimator.baseline.to(device)
    with sf.StochasticGraph() as graph:
        distribution = case.distribution(sf.branch(eta, case.copies) if taken else eta)
        z = sf.sample(distribution, estimator)
        assert z.device.type == device
        sf.add_cost(z.double().reshape(len(z), -1).sum(1))
        graph.loss().backward()
    assert eta.grad.device.type == device


@ALL
def test_without_gradients_or_a_graph_every_row_is_drawn_once(case):
    eta = START.expand(7, 2)
    for samples in {None, case.copies}:
        assert len(case.take(eta, samples or 1) if samples else _alone(case, eta)) == 7
        with torch.no_grad(), sf.StochasticGraph() as graph:
            z = sf.sample(case.distribution(eta), case.estimator(samples))
            sf.add_cost(case.cost(z))
        assert len(z) == 7
        assert graph.loss().isfinite()


def _alone(case, eta):
    return sf.sample(case.distribution(eta), case.estimator(None))


@ALL
def test_rows_that_do_not_count_have_weight_one(case):
    eta = START.expand(4, 2).clone().requires_grad_()
    mask = torch.tensor([True, False, True, False])
    with sf.StochasticGraph() as graph:
        z = sf.sample(case.distribution(eta), case.estimator(case.copies), mask=mask)
        sf.add_cost(torch.where(mask.repeat(case.copies), case.cost(z.detach()), 1.5))
        loss = graph.loss(reduction="none").view(-1, 4).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    assert (loss[~mask] == 1.5).all()
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).any()


@ALL
def test_masked_rows_leave_the_others_unbiased(case):
    torch.manual_seed(0)
    eta = START.expand(4000, 2).clone().requires_grad_()
    mask = torch.arange(4000) % 2 == 0
    with sf.StochasticGraph() as graph:
        z = sf.sample(case.distribution(eta), case.estimator(case.copies), mask=mask)
        sf.add_cost(torch.where(mask.repeat(case.copies), case.cost(z), 0))
        loss = graph.loss(reduction="none").view(-1, 4000).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    estimates = torch.cat([loss.detach().unsqueeze(1), gradient], 1)[mask]
    assert (distances(estimates, value_and_gradient(case)) < THRESHOLD).all()


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
            z = case.take(eta, case.copies)
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
        first = case.feature(case.take(eta, case.copies))
        second = case.take(sf.align(eta) * (1 + first.unsqueeze(1)), case.copies)
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
        z_eta = sf.branch(eta, case.copies)
        x = sf.sample(Normal(sf.align(loc), 1.0), sf.ScoreFunction(sf.LeaveOneOut()))
        z = sf.sample(case.distribution(z_eta), case.estimator(None))
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


@COPIED
def test_dropout_before_the_node_is_refused(case):
    torch.manual_seed(0)
    eta = START.expand(20, 2).clone().requires_grad_()
    dropout = nn.Dropout()
    with sf.StochasticGraph():
        distribution = case.distribution(dropout(sf.branch(eta, case.copies)))
        with pytest.raises(ValueError, match="differs among them, as it does after.*samples="):
            sf.sample(distribution, case.estimator(None))


@ALL
def test_a_node_is_called_again_and_again(case):
    """With copies of its own, or none: the value of a product is the product of the values."""
    torch.manual_seed(0)
    rows = 1000
    eta = START.expand(rows, 2).clone().requires_grad_()
    node = sf.StochasticNode(case.estimator(case.copies))
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
def test_copies_that_differ_are_refused(case):
    model = TwoNodes(case, None, first=True)
    x = X.repeat(10)  # in some row the earlier draws of the copies are not equal by chance
    with pytest.raises(ValueError, match=r"'node'.*copies of a row together.*samples="):
        sf.expectation(model, samples=case.copies)(x)


@COPIED
def test_copies_that_differ_by_rounding_are_taken(case):
    eta = START.expand(4 * case.copies, 2) * (1 + 1e-12 * torch.randn(4 * case.copies, 2))
    with sf.StochasticGraph() as graph:
        sf.branch(torch.zeros(4), case.copies)
        z = sf.sample(case.distribution(eta.requires_grad_()), case.estimator(None))
        sf.add_cost(case.cost(z))
        graph.loss().backward()


@COPIED
def test_where_there_are_no_copies_the_error_says_what_to_set(case):
    with sf.StochasticGraph(), pytest.raises(ValueError, match="one of each row: set samples="):
        sf.sample(case.distribution(START.expand(3, 2)), case.estimator(None))


@COPIED
def test_no_second_node_takes_the_same_copies(case):
    eta = START.expand(3, 2).clone().requires_grad_()
    with sf.StochasticGraph():
        case.take(eta, None)
        copies = case.distribution(sf.align(eta))
        with pytest.raises(ValueError, match="'second'.*needs copies of its own"):
            sf.sample(copies, case.estimator(None), name="second")


@COPIED
def test_copies_that_are_weighed_are_not_joined(case):
    eta = START.expand(3, 2).clone().requires_grad_()
    for taken in (True, False):
        with sf.StochasticGraph():
            z = case.take(eta, None if taken else case.copies)
            with pytest.raises(ValueError, match="VIMCO"):
                sf.add_cost(case.cost(z), join=sf.VIMCO())


@ALL
def test_draws_are_not_replayed(case):
    eta = START.expand(3, 2).clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        case.take(eta, case.copies)
    match = "'z'.*cannot be replayed"
    with sf.StochasticGraph(draws=graph.draws), pytest.raises(ValueError, match=match):
        case.take(eta, case.copies)


@ALL
def test_an_unsupported_distribution_is_named(case):
    distribution = torch.distributions.Dirichlet(torch.ones(3, 4, requires_grad=True))
    if "Relax" in repr(case.estimator(case.copies)):
        distribution = torch.distributions.Poisson(torch.ones(3, 4, requires_grad=True))
    name = type(distribution).__name__
    with sf.StochasticGraph(), pytest.raises(ValueError, match=f"'node'.*{name}"):
        sf.sample(distribution, case.estimator(case.copies))


@ALL
def test_masks_of_single_elements_and_ragged_rows_are_refused(case):
    distribution = case.distribution(torch.zeros(3, 2, requires_grad=True))
    estimator = case.estimator(case.copies)
    if case.draw == BITS:
        mask = torch.ones(3, 2, dtype=torch.bool)
        with sf.StochasticGraph(), pytest.raises(ValueError, match="mask of single elements"):
            sf.sample(distribution, estimator, mask=mask)
    index = torch.tensor([0, 0, 1])
    with sf.StochasticGraph(), pytest.raises(ValueError, match="does not take index="):
        sf.sample(distribution, estimator, index=index)


@COPIED
def test_samples_is_checked_where_it_is_set(case):
    for wrong in (2.5, "3"):
        with pytest.raises(TypeError, match="samples is"):
            case.estimator(wrong)
    with pytest.raises(ValueError, match="samples is 0"):
        case.estimator(0)


@COPIED
def test_settings_are_shown(case):
    assert f"samples={case.copies}" in repr(case.estimator(case.copies))
    assert "samples=None" in repr(case.estimator(None))


# ---------------------------------------------------------------- state


@ALL
def test_a_node_is_saved_and_copied(case):
    node, other = (sf.StochasticNode(case.estimator(case.copies)) for _ in range(2))
    other.load_state_dict(node.state_dict())
    twin = copy.deepcopy(node)
    eta = START.expand(3, 2).clone().requires_grad_()
    for each in (node, other, twin):
        loss = sf.expectation(lambda each=each: case.cost(each(case.distribution(eta))))()
        loss.backward()


@COPIED
def test_it_has_no_parameters(case):
    assert not list(sf.StochasticNode(case.estimator(case.copies)).parameters())


@ALL
def test_the_order_holds(case):
    """A second derivative is right on average, or it is refused."""
    torch.manual_seed(0)
    estimator = case.estimator(case.copies)
    rows = 4000
    eta = START.expand(rows, 2).clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        sf.add_cost(case.cost(sf.sample(case.distribution(eta), estimator)))
        loss = graph.loss(reduction="none").view(-1, rows).mean(0)
    (first,) = torch.autograd.grad(loss.sum(), eta, create_graph=True)
    if estimator.order == 1:
        with pytest.raises(ValueError, match="order 1"):
            torch.autograd.grad(first.sum(), eta)
        return
    second = [torch.autograd.grad(first[:, i].sum(), eta, retain_graph=True)[0] for i in (0, 1)]
    truth = torch.autograd.functional.hessian(case.truth, START)
    assert (distances(torch.cat(second, 1), truth.reshape(-1)) < THRESHOLD).all()


def test_the_cases_are_distinct():
    assert all(isinstance(case, Case) for case in CASES.values())
    assert isinstance(CASES["MeasureValued"].distribution(START.expand(2, 2)), Independent)
