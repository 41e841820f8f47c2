"""What holds of every estimator, and of the score function with every baseline: one suite.

The members, and what each of them claims, are the rows of a table in `members.py`.
"""

import copy
import inspect
import math
import pickle

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf
from tests.comparison import THRESHOLD, WrongScore, leaf
from tests.estimators.members import (
    BITS,
    MEMBERS,
    NUMBERS,
    START,
    Member,
    distances,
    value_and_gradient,
)

LEADING = {name: member for name, member in MEMBERS.items() if " of " not in name}
"""One member of each class."""


def members(condition=lambda member: True, table=MEMBERS):
    """Run a test with every member of which something is true."""
    chosen = {name: member for name, member in table.items() if condition(member)}
    return pytest.mark.parametrize("member", chosen.values(), ids=chosen)


every = members()
every_way = pytest.mark.parametrize("taken", [False, True], ids=["own", "taken"])


def missing(table):
    """The public estimators and baselines that no row of a table makes."""
    estimators = [member.make(None) for member in table.values()]
    present = {type(part) for e in estimators for part in (e, e.baseline)}
    public = [getattr(sf, name) for name in sf.__all__]
    classes = {part for part in public if inspect.isclass(part) and not inspect.isabstract(part)}
    return {part for part in classes if issubclass(part, sf.Estimator | sf.Baseline)} - present


def test_the_table_has_every_estimator_and_baseline():
    """Of one more a row is all that is missing. Without the row of one, a control, it is named."""
    assert not missing(MEMBERS)
    for name, part in {"Pathwise": sf.Pathwise, "Rodeo": sf.Rodeo}.items():
        rest = {other: member for other, member in MEMBERS.items() if other != name}
        assert missing(rest) == {part}


# ---------------------------------------------------------------- right


def right(member, parts):
    """Of a value and its gradient what the member gets right."""
    return {0: parts[:1], -1: parts[:0]}.get(member.order, parts)


@pytest.mark.parametrize("shape", [(2000,), (20, 100)], ids=["rows", "two dimensions of rows"])
@every_way
@every
def test_value_and_gradient_are_unbiased(member, taken, shape):
    """At most 1e-6 of all seeds fail by chance, in all comparisons of a case together."""
    torch.manual_seed(0)
    off = distances(member.estimates(taken, shape), value_and_gradient(member))
    assert (right(member, off) < THRESHOLD).all(), off


@members(lambda member: member.order > 0)
def test_negative_control_a_cost_that_is_not_that_of_the_truth_is_found(member):
    torch.manual_seed(0)
    estimates = member.estimates(False, 2000, cost=lambda z: 1.3 * member.cost(z))
    assert (distances(estimates, value_and_gradient(member)) > THRESHOLD).any()


@members(lambda member: member.order <= 0)
def test_what_claims_to_be_biased_is_biased(member):
    """So that the claim does not hide what would be right. Of twice the cost: units matter too."""
    torch.manual_seed(0)
    estimates = member.estimates(True, 20_000, cost=lambda z: 2 * member.cost(z))
    off = distances(estimates, 2 * value_and_gradient(member))
    assert (off > THRESHOLD).any()
    assert member.make(None).order in (member.order, math.inf)


# ---------------------------------------------------------------- shapes and types


@pytest.mark.parametrize("shape", [(4,), (3, 2)], ids=["rows", "two dimensions of rows"])
@every_way
@every
def test_copies_go_into_the_first_dimension(member, taken, shape):
    eta = START.expand(*shape, 2).clone().requires_grad_()
    graph, z = member.run(eta, taken, batch_ndims=len(shape))
    rows = (member.copies(taken) * shape[0], *shape[1:])
    assert z.shape == (*rows, *member.distribution(eta).event_shape)
    assert graph.loss(reduction="none").shape == rows


@members(lambda member: not member.needs_copies and not member.always_copies)
def test_a_batch_may_be_a_single_row(member):
    eta = START.clone().requires_grad_()
    graph, z = member.run(eta, node=member.node(taken=True), batch_ndims=0)
    assert z.shape == member.distribution(eta).sample().shape
    loss = graph.loss(reduction="none")
    assert loss.shape == ()
    assert torch.autograd.grad(loss, eta)[0].isfinite().all()


@every_way
@every
def test_rows_that_do_not_count_have_weight_one_and_leave_the_others_unbiased(member, taken):
    torch.manual_seed(0)
    mask = torch.arange(2000) % 2 == 0
    costs = []

    def cost(z):
        costs.append(member.cost(z))
        return costs[-1]

    estimates = member.estimates(taken, 2000, cost=cost, mask=mask)
    plain = costs[0].detach().view(-1, 2000).mean(0)
    torch.testing.assert_close(estimates[~mask, 0], plain[~mask])
    assert not estimates[~mask, 1:].any()
    off = distances(estimates[mask], value_and_gradient(member))
    assert (right(member, off) < THRESHOLD).all(), off


@every_way
@members(lambda member: member.draw in (BITS, NUMBERS))
def test_elements_that_do_not_count_have_no_gradient_or_are_refused(member, taken):
    torch.manual_seed(0)
    eta = START.expand(30, 2).clone().requires_grad_()
    mask = torch.arange(60).view(30, 2) % 3 > 0
    if not member.make(None).takes_masks:
        with pytest.raises(ValueError, match="'z'.*mask of single elements"):
            member.run(eta, taken, mask=mask)
        return
    graph, _ = member.run(eta, taken, mask=mask, cost=lambda z: z.pow(3).sum(-1))
    (gradient,) = torch.autograd.grad(graph.loss(), eta)
    assert not gradient[~mask].any()
    assert gradient[mask].any()


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@every_way
@every
def test_types_stay_and_logits_of_forty_are_finite(member, taken, dtype):
    """Of values, losses, gradients, and those of what learns; also after it has learned."""
    eta = torch.tensor([[40.0, -40.0], [-40.0, -40.0], [0.3, 0.0]], dtype=dtype)
    eta = eta.repeat(3, 1).requires_grad_()
    node = member.node(taken)
    for _ in range(2):
        graph, z = member.run(
            eta, taken, node=node, cost=lambda z: z.reshape(len(z), -1).to(dtype).square().sum(1)
        )
        loss = graph.loss()
        loss.backward()
        assert z.dtype == member.distribution(eta).sample().dtype
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert eta.grad.dtype == dtype
        learned = [p.grad for p in node.parameters()]
        assert all(part.isfinite().all() for part in (z, loss, eta.grad, *learned))
    assert all(buffer.isfinite().all() for buffer in node.buffers())


@every_way
@members(lambda member: member.hard and member.draw != NUMBERS)
def test_values_are_exactly_those_of_the_support(member, taken):
    eta = START.float().expand(30, 2).clone().requires_grad_()
    _, z = member.run(eta, taken)
    values, _ = member.outcomes(START)
    z = z.detach().reshape(len(z), 1, -1)
    assert (z == values.to(z).reshape(1, len(values), -1)).all(2).any(1).all()


# ---------------------------------------------------------------- two nodes


class WrittenBits(Bernoulli):
    """Draws what is written."""

    values: torch.Tensor

    def sample(self, sample_shape=()):
        return self.values


class BitChain(nn.Module):
    """Two bits, which take every joint value, one in each row, in two copies of each row.

    For the sake of relaxations, of which the gradient is right for what is linear, the cost is
    linear in each bit where there is one, and the second bit does not depend on a relaxed one.
    """

    def __init__(self, first, second):
        super().__init__()
        self.link = 0.0 if first.relaxed else 1.0
        self.curve = 0.0 if first.relaxed or second.relaxed else 1.0
        self.first, self.second = (sf.StochasticNode(m.make(None)) for m in (first, second))

        # What is enumerated is not drawn, but doubles what is drawn after it.
        enumerated = [m.always_copies for m in (first, second)]
        copies = [2, 4 if enumerated[0] else 2]
        numbers = [0 if e else n for e, n in zip(enumerated, copies, strict=True)]
        total = sum(numbers)
        outcomes = torch.arange(2**total).unsqueeze(1) >> torch.arange(total) & 1
        self.bits = [part.T.flatten().double() for part in outcomes.split(numbers, 1)]
        self.rows = 2**total

    def draw(self, node, logits, bits):
        """The values, and the probability of those of a row."""
        distribution = WrittenBits(logits=logits)
        distribution.values = bits
        context = torch.stack([logits, logits], -1)
        z = node(distribution, context.detach())
        if len(bits):
            log_prob = Bernoulli(logits=logits.detach()).log_prob(bits)
            self.probability *= log_prob.view(-1, self.rows).sum(0).exp()
        return z

    def forward(self, theta):
        """With the parameters theta `[rows, 4]`."""
        if not torch.is_grad_enabled():  # the likeliest run
            return self.costs(theta, lambda node, logits, bits: node(Bernoulli(logits=logits)))
        self.probability = torch.ones(self.rows, dtype=torch.float64)
        return self.costs(theta, self.draw)

    def costs(self, theta, draw):
        """Of the two bits that a function draws: one cost after each."""
        a = draw(self.first, theta[:, 0], self.bits[0])
        theta = sf.align(theta)
        sf.add_cost(self.early(theta, a))
        b = draw(self.second, theta[:, 1] + self.link * theta[:, 2] * a, self.bits[1])
        return self.late(sf.align(theta), sf.align(a), b)

    def early(self, theta, a):
        """The cost of the first bit."""
        return theta[..., 3] * (0.7 * a + self.curve * a**3)

    def late(self, theta, a, b):
        """The cost of both."""
        return theta[..., 3] * (1.3 * a * b - 0.4 * b) + self.curve * (0.8 * b * (1 + a)) ** 4

    def expected(self, theta):
        """The mean of the loss over all outcomes, for the parameters `[4]`."""
        objective = sf.expectation(self, samples=2, reduction="none")
        loss = objective(theta.expand(self.rows, 4))
        return (self.probability * loss.view(-1, self.rows).mean(0)).sum()

    def truth(self, theta):
        """The same, by a sum over the four values of the two bits; no library involved."""
        total = 0.0
        for a in (0.0, 1.0):
            for b in (0.0, 1.0):
                first = torch.sigmoid((2 * a - 1) * theta[0])
                second = torch.sigmoid((2 * b - 1) * (theta[1] + self.link * theta[2] * a))
                cost = self.early(theta, a) + self.late(theta, a, b)
                total = total + first * second * cost
        return total


THETA = (0.4, -0.7, 0.9, 1.1)


def pairs(condition):
    """Run a test with every two members of which something is true."""
    chosen = {
        f"{a}, {b}": (LEADING[a], LEADING[b])
        for a in LEADING
        for b in LEADING
        if condition(LEADING[a], LEADING[b])
    }
    return pytest.mark.parametrize(("first", "second"), chosen.values(), ids=chosen)


def is_exact(first, second):
    """Whether a chain of both can be enumerated."""
    return first.exact and second.exact


def value_and_slopes(value, theta):
    """`[1 + P]`."""
    return torch.cat([value.detach().view(1), *torch.autograd.grad(value, theta)])


@pairs(is_exact)
def test_chains_of_two_are_exact(first, second):
    chain, theta = BitChain(first, second), leaf(*THETA)
    found = value_and_slopes(chain.expected(theta), theta)
    wanted = value_and_slopes(chain.truth(theta), theta)
    biased = any(member.order < 1 and not member.relaxed for member in (first, second))
    compared = 1 if biased else len(found)
    torch.testing.assert_close(found[:compared], wanted[:compared], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_negative_control_of_chains_a_wrong_score_is_found(place):
    pair = [MEMBERS["LeaveOneOut"]] * 2
    pair[place] = Member(lambda samples: WrongScore(0.9), exact=True)
    chain, theta = BitChain(*pair), leaf(*THETA)
    found = value_and_slopes(chain.expected(theta), theta)
    wanted = value_and_slopes(chain.truth(theta), theta)
    torch.testing.assert_close(found[0], wanted[0])
    assert (found[place + 1] - wanted[place + 1]).abs() > 1e-2


@pairs(lambda first, second: not is_exact(first, second))
def test_chains_of_two_have_finite_gradients(first, second):
    """Of what has noise of its own; that they are right is a matter of each node by itself."""
    torch.manual_seed(0)
    fits = not second.equal_copies and first.taken % second.taken == 0
    before, after = first.node(taken=True), second.node(taken=fits)

    def model(eta, theta):
        feature = first.feature(before(first.distribution(eta), eta))
        theta = sf.align(theta) * (1 + feature).unsqueeze(1)
        z = after(second.distribution(theta), theta)
        return second.cost(z) * (1 + sf.align(feature) ** 2)

    eta, theta = (START.expand(20, 2).clone().requires_grad_() for _ in range(2))
    loss = sf.expectation(model, samples=first.taken)(eta, theta)
    assert loss.isfinite()
    for gradient in torch.autograd.grad(loss, [eta, theta]):
        assert gradient.isfinite().all()
        assert gradient.any()


@pairs(lambda first, second: first.equal_copies and first.taken == second.taken)
def test_two_nodes_take_the_same_copies_unless_both_weigh_them(first, second):
    before, after = first.node(taken=True), second.node(taken=True)
    weighs = all(member.make(None).together for member in (first, second))

    def model(eta, theta):
        feature = first.feature(before(first.distribution(eta), eta))
        z = after(second.distribution(theta), theta)
        return second.cost(z) * (1 + sf.align(feature) ** 2)

    eta, theta = (START.expand(20, 2).clone().requires_grad_() for _ in range(2))
    objective = sf.expectation(model, samples=first.taken)
    if weighs:
        with pytest.raises(ValueError, match=r"'z.1'.*needs copies of its own"):
            objective(eta, theta)
        return
    loss = objective(eta, theta)
    assert loss.isfinite()
    assert all(gradient.any() for gradient in torch.autograd.grad(loss, [eta, theta]))


# ---------------------------------------------------------------- copies


@members(lambda member: member.needs_copies)
def test_where_there_are_no_copies_the_error_says_what_to_set(member):
    eta = START.expand(3, 2).clone().requires_grad_()
    node = member.node(taken=True)
    with sf.StochasticGraph(), pytest.raises(ValueError, match=r"'z'.*set samples="):
        node(member.distribution(eta), eta)


@members(lambda member: not member.needs_copies)
def test_what_needs_no_copies_draws_rows_that_are_there_once(member):
    torch.manual_seed(0)
    eta = START.expand(20, 2).clone().requires_grad_()
    node = member.node(taken=True)
    objective = sf.expectation(lambda eta: member.cost(node(member.distribution(eta), eta)))
    assert torch.autograd.grad(objective(eta), eta)[0].any()


@every_way
@every
def test_behind_another_node_it_is_right_or_refuses_its_copies(member, taken):
    """An earlier bit moves the parameters: E[(1 + b)·f(z)] is a sum over it."""
    torch.manual_seed(0)
    rows = 2000
    first, node = sf.StochasticNode(sf.ScoreFunction()), member.node(taken)
    shift = torch.tensor([0.3, 0.5]).double()

    def model(eta):
        bit = first(Bernoulli(logits=eta[:, 0]))
        z = node(member.distribution(eta + shift * bit.unsqueeze(1)), eta)
        return member.cost(z) * (1 + sf.align(bit))

    eta = START.expand(rows, 2).clone().requires_grad_()
    objective = sf.expectation(model, samples=member.samples(taken), reduction="none")
    if taken and member.equal_copies:
        with pytest.raises(ValueError, match=r"'z'.*copies of a row together.*samples="):
            objective(eta)
        return
    loss = objective(eta).view(-1, rows).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), eta)
    estimates = torch.cat([loss.detach().unsqueeze(1), gradient], 1)
    off = distances(estimates, truth_behind_a_bit(member, shift))
    assert (right(member, off) < THRESHOLD).all(), off


def truth_behind_a_bit(member, shift):
    """Value and gradient of a bit and the member after it."""
    eta = START.clone().requires_grad_()
    p = eta[0].sigmoid()
    total = (1 - p) * member.truth(eta) + 2 * p * member.truth(eta + shift)
    return torch.cat([total.detach().reshape(1), *torch.autograd.grad(total, eta)])


@members(lambda member: member.equal_copies)
def test_copies_that_differ_by_rounding_are_taken(member):
    rounding = 1 + 1e-12 * torch.randn(4 * member.taken, 2)
    eta = (START.expand(4 * member.taken, 2) * rounding).requires_grad_()
    with sf.StochasticGraph() as graph:
        sf.branch(torch.zeros(4), member.taken)
        z = sf.sample(member.distribution(eta), member.make(None))
        sf.add_cost(member.cost(z))
        graph.loss().backward()


@members(lambda member: member.make(None).coupled)
def test_a_baseline_that_compares_coupled_copies_is_refused(member):
    estimator = member.make(member.own)
    kind = type(estimator)
    vars(estimator).pop("baseline", None)  # the one that is built in
    estimator.__class__ = type(kind.__name__, (kind,), {"baseline": sf.LeaveOneOut()})
    eta = START.expand(3, 2).clone().requires_grad_()
    match = f"'z': {kind.__name__} draws the copies of a row together, so LeaveOneOut"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        sf.sample(member.distribution(eta), estimator, name="z")


@members(lambda member: "samples" in vars(member.make(None)))
def test_samples_is_checked_where_it_is_set(member):
    for wrong in (2.5, "3"):
        with pytest.raises(TypeError, match="samples is"):
            member.make(wrong)
    with pytest.raises(ValueError, match="samples is -1"):
        member.make(-1)


# ---------------------------------------------------------------- without gradients


@every
def test_without_gradients_or_a_graph_every_row_is_drawn_once(member):
    eta = START.expand(7, 2)
    for taken in (False, True):
        node = member.node(taken)
        assert len(node(member.distribution(eta))) == 7
        with torch.no_grad(), sf.StochasticGraph() as graph:
            z = node(member.distribution(eta))
            sf.add_cost(member.cost(z))
        assert len(z) == 7
        assert not z.requires_grad
        assert graph.loss() == member.cost(z).mean()
        if member.hard:
            torch.testing.assert_close(graph.draws["z"][1], member.distribution(eta).log_prob(z))


# ---------------------------------------------------------------- replays and order


@every
def test_draws_are_replayed_or_refused(member):
    """Where the draw itself is scored, with its gradient."""
    torch.manual_seed(0)
    eta = START.expand(20, 2).clone().requires_grad_()
    node = member.node().eval()
    graph, z = member.run(eta, node=node)
    if not member.replays:
        with pytest.raises(ValueError, match=r"'z'.*cannot be replayed"):
            member.run(eta, node=node, draws=graph.draws)
        return
    again, replayed = member.run(eta, node=node, draws=graph.draws)
    assert torch.equal(replayed, z)
    losses = [graph.loss(), again.loss()]
    torch.testing.assert_close(*[loss.detach() for loss in losses])
    gradients = [torch.autograd.grad(loss, eta)[0] for loss in losses]
    assert all(gradient.any() for gradient in gradients)
    if not member.relaxed and not member.limited:
        torch.testing.assert_close(*gradients)
    if not member.always_copies:  # else it is that of the enumeration
        rows = member.distribution(START.expand(len(z), 2))
        torch.testing.assert_close(graph.draws["z"][1], rows.log_prob(z.detach()))


@every
def test_derivatives_beyond_the_order_are_refused(member):
    eta = START.expand(3, 2).clone().requires_grad_()
    graph, _ = member.run(eta)
    (first,) = torch.autograd.grad(graph.loss(), eta, create_graph=True)
    if member.order > 1 and not member.limited:
        assert torch.autograd.grad(first.sum(), eta)[0].isfinite().all()
        return
    limits = member.make(None)
    if limits.baseline is not None and limits.baseline.order < 1:
        limits = limits.baseline
    match = f"node 'z': {type(limits).__name__} has order {member.order:g}, so of its draws only"
    with pytest.raises(ValueError, match=match):
        torch.autograd.grad(first.sum(), eta)


def forward(fn):
    """The derivative of a function of one number, in forward mode."""
    return lambda x: torch.func.jvp(fn, (x,), (torch.ones_like(x),))[1]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # of torch itself
@pytest.mark.parametrize("first", [forward, torch.func.grad], ids=["forward", "reverse"])
@pytest.mark.parametrize("second", [forward, torch.func.grad], ids=["forward", "reverse"])
@pytest.mark.parametrize(
    "estimator",
    [
        sf.DisARM(2),
        sf.MeasureValued(3),
        sf.StraightThrough(),
        sf.ScoreFunction(sf.GroupNormalized(), 2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_in_torch_func_derivatives_beyond_the_order_are_refused_too(first, second, estimator):
    def loss(logit):
        with sf.StochasticGraph() as graph:
            bits = Bernoulli(logits=logit.expand(10), validate_args=False)
            sf.add_cost((sf.sample(bits, estimator) - 0.3) ** 2)
        return graph.loss()

    torch.manual_seed(0)
    logit = torch.tensor(0.5)
    assert first(loss)(logit).isfinite()
    with pytest.raises(ValueError, match="has order [01], so of its draws only the first"):
        second(first(loss))(logit)


@members(lambda member: member.exact and member.order == math.inf)
def test_second_derivatives_of_a_chain_are_exact(member):
    chain, theta = BitChain(member, MEMBERS["LeaveOneOut"]), leaf(*THETA)
    hessians = []
    for value in (chain.expected(theta), chain.truth(theta)):
        (gradient,) = torch.autograd.grad(value, theta, create_graph=True)
        rows = [torch.autograd.grad(part, theta, retain_graph=True)[0] for part in gradient]
        hessians.append(torch.stack(rows))
    torch.testing.assert_close(*hessians, rtol=1e-9, atol=1e-9)


@members(lambda member: not member.exact and member.order == math.inf)
def test_second_derivatives_are_unbiased(member):
    torch.manual_seed(0)
    rows = 4000
    eta = START.expand(rows, 2).clone().requires_grad_()
    graph, _ = member.run(eta)
    loss = graph.loss(reduction="none").view(-1, rows).mean(0)
    (first,) = torch.autograd.grad(loss.sum(), eta, create_graph=True)
    second = [torch.autograd.grad(first[:, i].sum(), eta, retain_graph=True)[0] for i in (0, 1)]
    truth = torch.autograd.functional.hessian(member.truth, START)
    assert (distances(torch.cat(second, 1), truth.reshape(-1)) < THRESHOLD).all()


# ---------------------------------------------------------------- state and settings


def saved(member, node):
    """The state of a node in a new one, of which everything else was 0."""
    other = member.node()
    for part in (*other.parameters(), *other.buffers()):
        part.data.zero_()
    other.load_state_dict(node.state_dict(), strict=True)
    return other


def copied(member, node):
    """A node, once more."""
    return copy.deepcopy(node)


def pickled(member, node):
    """A node that was written down and read."""
    return pickle.loads(pickle.dumps(node))


@pytest.mark.parametrize("way", [saved, copied, pickled], ids=lambda way: way.__name__)
@every
def test_a_node_is_saved_and_copied(member, way):
    """After an update; the twin has the gradient of the same draws, and parts of its own."""
    node, results = member.node(), []
    eta = START.expand(5, 2).clone().requires_grad_()
    member.run(eta, node=node)[0].loss().backward()
    twin = way(member, node)
    assert repr(twin) == repr(node)
    parts = {id(part) for part in (*node.parameters(), *node.buffers())}
    assert not parts & {id(part) for part in (*twin.parameters(), *twin.buffers())}
    for each in (node, twin):
        torch.manual_seed(0)
        loss = member.run(eta, node=each)[0].loss()
        results.append([loss.detach(), *torch.autograd.grad(loss, eta)])
    torch.testing.assert_close(*results)


@every
def test_settings_are_shown(member):
    """Every argument that it was made with, and those of its baseline."""
    estimator = member.make(member.own)
    kind, baseline, shown = type(estimator), estimator.baseline, repr(estimator)
    assert shown.startswith(f"{kind.__name__}(")
    names = set(inspect.signature(kind).parameters)
    names -= {"baseline"} if baseline is None else set()
    assert all(f"{name}=" in shown for name in names)

    parts = names - {"baseline", "module"}  # of which the node shows as torch does
    node = repr(sf.StochasticNode(estimator))
    assert all(f"{name}={getattr(estimator, name)!r}" in node for name in parts)
    if "baseline" in names:
        assert all(repr(part) in shown and repr(part) in node for part in settings(baseline))


def settings(module):
    """The arguments that a module was made with, if they have no parameters themselves."""
    names = inspect.signature(type(module)).parameters
    values = [getattr(module, name) for name in names]
    return [value for value in values if not isinstance(value, nn.Module)]


# ---------------------------------------------------------------- refusals


@members(lambda member: member.unfit is not None)
def test_an_unsupported_distribution_is_named(member):
    eta = START.expand(3, 2).clone().requires_grad_()
    distribution = member.unfit(eta)
    node = member.node()
    match = f"'z'.*{type(distribution).__name__}"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        node(distribution, eta)
