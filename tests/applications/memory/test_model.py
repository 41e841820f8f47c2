"""The controllers, the model, and the gradient check of the paper.

A small problem whose action sequences are all gone through: three steps of 18 actions are 5,832 of
them. The expected cost is their sum, by hand; its derivative is compared with central differences,
and the mean of the score-function gradient over all sequences with its derivative. What is broken
on purpose must fail. One test draws at random, at a family-wise error rate of 1e-6 and a fixed
seed.

Source: Zaremba & Sutskever (2015), Reinforcement Learning Neural Turing Machines, section 6.
"""

from dataclasses import replace

import pytest
import torch
from torch import Generator, nn

import sfgrad as sf
from applications.memory import controllers, machine, model
from applications.memory.config import BASELINES, Config
from applications.memory.controllers import CONTROLLERS, Controller
from applications.memory.machine import LETTER, MODES, SHIFTS
from applications.memory.model import LOST_PROBABILITY, MemoryModel, choose_estimator
from applications.memory.tasks import FIRST, SYMBOLS, Problems, make_problems

RTOL = 1e-9
FAMILY = 1e-6
STEPS = 3
SMALL = Config(units=4, cells=3, last=3, samples=2, batch=4, baseline="none")


def make(kind=MemoryModel, **options):
    """A small model in double precision to which it matters what it sees."""
    torch.manual_seed(1)
    made = kind(replace(SMALL, **options))
    torch.manual_seed(1)  # the same also where there is a critic
    for parameter in made.controller.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double()


def problem(length=3, rows=1):
    """One problem, the same in every row."""
    problems = make_problems("copy", torch.tensor([length]), Generator().manual_seed(0))
    return Problems(*[part.repeat_interleave(rows, 0) for part in problems])


def limits(steps, rows=1):
    return torch.full((rows,), steps)


# ---------------------------------------------------------------- controllers


def views(rows=50):
    """What the heads of some rows see, and what was done before."""
    generator = Generator().manual_seed(0)
    symbol, recalled = torch.randint(SYMBOLS, (2, rows), generator=generator)
    before = torch.eye(18)[torch.randint(18, (rows,), generator=generator)]
    return symbol, recalled, before


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_only_the_recurrent_controller_knows_one_letter_from_another(kind):
    torch.manual_seed(0)
    controller = Controller(kind, 18, 8)
    symbol, recalled, before = views()
    order = torch.arange(SYMBOLS)
    order[FIRST:] = order[FIRST:].roll(1)
    told = controller(LETTER[symbol], LETTER[recalled], before, None)
    renamed = controller(LETTER[order[symbol]], LETTER[order[recalled]], before, None)
    same = torch.equal(told.logits, renamed.logits)
    assert same == (kind != "recurrent")
    if same:
        assert torch.equal(told.says, renamed.says[:, order])


@pytest.mark.parametrize("kind", ["direct", "feed-forward"])
def test_what_is_given_out_is_what_a_tape_shows(kind):
    symbol, recalled, before = views()
    says = Controller(kind, 18, 8)(LETTER[symbol], LETTER[recalled], before, None).says
    rows = torch.arange(len(symbol))
    twice = symbol == recalled
    shown = says[rows, symbol] + says[rows, recalled].where(~twice, 0)
    assert torch.allclose(shown, torch.ones(len(rows)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_only_the_feed_forward_controller_forgets(kind):
    torch.manual_seed(0)
    controller = Controller(kind, 18, 8)
    symbol, recalled, before = views()
    seen = LETTER[symbol], LETTER[recalled], before
    first = controller(*seen, None)
    assert torch.equal(controller(*seen, first.state).logits, first.logits) == (
        kind == "feed-forward"
    )


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_at_first_all_actions_are_about_as_likely(kind):
    torch.manual_seed(0)
    symbol, recalled, before = views()
    chosen = Controller(kind, 18, 32)(LETTER[symbol], LETTER[recalled], before, None)
    chances = chosen.logits.softmax(1) * 18
    assert 0.8 < chances.min() < chances.max() < 1.25
    assert chosen.shifts is None


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_shifts_of_attention_are_two_distributions(kind):
    symbol, recalled, _ = views()
    before, rows = torch.zeros(len(symbol), 2), len(symbol)
    chosen = Controller(kind, 2, 8, True)(LETTER[symbol], LETTER[recalled], before, None)
    assert chosen.shifts.shape == (2, rows, len(SHIFTS))
    assert torch.allclose(chosen.shifts.sum(2), torch.ones(2, rows))
    assert chosen.sharpness.shape == (2, rows, 1)
    assert (chosen.sharpness >= 1).all()


# ---------------------------------------------------------------- the run


class Told(nn.Module):
    """Takes a node's place: does what it is told to, and adds up the log-probabilities `[R]`."""

    def __init__(self, sequences):
        super().__init__()
        self.course, self.total, self.contexts = iter(sequences.T), 0.0, []

    def forward(self, law, context, mask=None):
        action = next(self.course)
        self.contexts.append(context)
        log_prob = law.log_prob(action)
        self.total = self.total + log_prob.where(mask, log_prob.detach())
        return action


def follow(made, problems, steps, sequences):
    """The steps of a run that is told what to do, and what told it."""
    node, made.act = made.act, Told(sequences)
    try:
        return list(made.run(made.machine(problems), limits(steps, len(sequences)))), made.act
    finally:
        made.act = node


def action_of(made, *wanted):
    """The number of an action."""
    return int((made.table == torch.tensor(wanted)).all(1).nonzero())


@pytest.mark.parametrize("strict", [True, False])
def test_a_letter_counts_as_far_as_those_before_it_were_right(strict):
    made = make(controller="recurrent", strict=strict)
    give, wait = action_of(made, 1, 0, 0, 1), action_of(made, 1, 0, 0, 0)
    steps, _ = follow(made, problem(), 4, torch.tensor([[give, wait, give, give]]))
    state, before, says = None, torch.zeros(1, 18), []
    view = made.machine(problem())
    for action in (give, wait, give, give):  # the controller once more, on the same machine
        chosen = made.controller(LETTER[view.symbol], view.recalled, before, state)
        says.append(chosen.says[0, view.wanted()[0]].item())
        view.step(torch.tensor([action]), torch.tensor([True]))
        before, state = torch.eye(18)[[action]], chosen.state
    wanted = [says[0], 0, says[2], says[3]]
    if strict:
        wanted = [says[0], 0, says[0] * says[2], says[0] * says[2] * says[3]]
    assert [step.right.item() for step in steps] == pytest.approx(wanted, rel=1e-12)


def test_who_is_done_or_out_of_time_has_no_part_in_it():
    """Of three rows one is done after two steps, one out of time after three; one works on."""
    made, nudges = make(strict=False), []

    def nudge(module, inputs, output):
        nudges.append(torch.zeros_like(output, requires_grad=True))
        return output + nudges[-1]

    made.controller.out.register_forward_hook(nudge)
    give, wait = action_of(made, 1, 0, 0, 1), action_of(made, 0, 0, 0, 0)
    sequences = torch.tensor([[give] * 5, [wait] * 5, [wait] * 5])
    problems = problem(length=2, rows=3)
    made.act = Told(sequences)
    steps = list(made.run(made.machine(problems), torch.tensor([5, 3, 5])))
    alive = torch.stack([step.alive for step in steps])
    assert alive.sum(0).tolist() == [2, 3, 5]
    entropy = torch.stack([step.entropy for step in steps])
    assert torch.equal(entropy > 0, alive)
    right = torch.stack([step.right for step in steps])
    assert torch.equal(right > 0, alive & (give == sequences.T))
    made.act.total.sum().backward()
    moved = torch.stack([nudge.grad.abs().sum(1) > 0 for nudge in nudges])
    assert torch.equal(moved, alive)


def test_who_was_wrong_is_out():
    made = make(controller="recurrent")
    give = action_of(made, 1, 0, 0, 1)
    answer = problem().answer[0]
    with torch.no_grad():
        made.controller.out.bias[18 + answer[0]] -= 50  # will not say the first letter
    for strict, wanted in ((True, 1), (False, 3)):
        made.config = replace(made.config, strict=strict)
        steps, _ = follow(made, problem(), 9, torch.full((1, 9), give))
        assert steps[0].right < LOST_PROBABILITY
        assert sum(step.alive.item() for step in steps) == wanted
    assert len(steps) <= model.CHECK_INTERVAL  # and no one waits for the limit


def test_the_baseline_sees_what_is_due_and_the_time_left():
    made = make(strict=False)
    give, wait = action_of(made, 1, 0, 0, 1), action_of(made, 0, 0, 0, 0)
    course = torch.tensor([[wait, give, give, wait]])
    _, told = follow(made, problem(length=2), 4, course)
    seen = torch.cat([context[:, -3:] for context in told.contexts]).double()
    known = torch.tensor([[2, 4, 10], [2, 3, 10], [1, 2, 10], [0, 1, 0]]) / 10
    torch.testing.assert_close(seen, known.double(), rtol=0, atol=1e-6)
    course = torch.tensor([[give, wait, give, wait]])  # first what only the input shows
    steps, strictly = follow(make(), problem(length=2), 4, course)
    worth = [context[0, -1].item() for context in strictly.contexts]
    assert worth == pytest.approx([1, steps[0].right.item(), steps[0].right.item(), 0])
    assert 0 < worth[1] < 1
    assert not any(context.requires_grad for context in told.contexts)


def test_greedy_draws_nothing():
    made, problems = make(), problem(rows=3)
    before = torch.get_rng_state()
    steps = list(made.run(made.machine(problems), limits(8, 3), greedy=True))
    assert torch.equal(before, torch.get_rng_state())
    actions = torch.stack([step.action for step in steps])
    assert torch.equal(actions, actions[:, :1].expand_as(actions))
    assert {right for step in steps for right in step.right.tolist()} <= {0.0, 1.0}


@pytest.mark.parametrize("mode", MODES)
def test_the_call_returns_what_the_steps_add_up_to(mode):
    made, problems = make(mode=mode).float(), problem(length=2, rows=30)
    torch.manual_seed(0)
    steps = list(made.run(made.machine(problems), limits(9, 30)))
    torch.manual_seed(0)
    with sf.StochasticGraph() as graph:
        rest, (entropy, right, taken) = made(*problems, limits(9, 30))
    assert not rest.any()
    assert torch.allclose(entropy, sum(step.entropy for step in steps))
    assert torch.equal(right, sum(step.right for step in steps))
    assert torch.equal(taken, sum(step.alive for step in steps).float())
    assert torch.equal(sum(cost.value for cost in graph.costs.values()), -right)
    assert right.max() > 0


@pytest.mark.parametrize("mode", ["address", "absolute", "soft"])
def test_nothing_is_given_out_before_the_end_is_seen(mode):
    made, problems = make(mode=mode).float(), problem(length=3, rows=100)
    steps = list(made.run(made.machine(problems), limits(8, 100)))
    gives = torch.stack([made.table[step.action, 3] for step in steps])
    assert not gives[:3].any()
    assert gives[3].any()


def test_the_baselines_are_those_that_are_named():
    kinds = [type(choose_estimator(name, 4).baseline) for name in BASELINES]
    assert kinds[1:] == [sf.MovingAverage, sf.Learned, sf.LeaveOneOut, sf.SelfCritical]
    assert kinds[0] is type(None)


# ---------------------------------------------------------------- the gradient, enumerated


def instance(made, rows):
    """The problem of the check; by address, the end is to be seen before anything is given out."""
    return problem(3 if made.config.mode == "moves" else 1, rows)


def all_sequences(made, draws):
    """Every sequence of actions, `[A^T, T]`."""
    return torch.cartesian_prod(*[torch.arange(len(made.table))] * draws)


def expected_cost(made, steps=STEPS):
    """The sum over all sequences, a row each; no library involved."""
    sequences = all_sequences(made, steps)
    course, told = follow(made, instance(made, len(sequences)), steps, sequences)
    chance = told.total.exp()
    assert chance.sum().item() == pytest.approx(1, rel=1e-12)
    return -(chance * sum(step.right for step in course)).sum()


def gradients(value, made):
    """By name, of the controller's parameters."""
    named = dict(made.controller.named_parameters())
    return dict(zip(named, torch.autograd.grad(value, list(named.values())), strict=True))


def mean_gradient(made, steps=STEPS, samples=1):
    """By name, the mean over all sequences of the score-function gradient.

    Every combination of the samples' sequences is a row of problems; what the controller puts out
    for it gets its gradient times the probability of the combination.
    """
    sequences = all_sequences(made, samples * steps).view(-1, samples, steps)
    count, weight = len(sequences), []

    def weigh(module, inputs, output):
        if output.requires_grad:  # unlike in a greedy run
            output.register_hook(lambda gradient: gradient * weight[0])

    def keep(module, inputs):
        if torch.is_grad_enabled():
            drawn_from.append(inputs[0])

    names = ["action", *(f"action.{t}" for t in range(1, steps))]
    draws = sequences.permute(2, 1, 0).reshape(steps, -1)
    graph = sf.StochasticGraph(draws=dict(zip(names, draws, strict=True)))
    objective = sf.expectation(made, samples, has_aux=True)
    drawn_from = []  # also what a mask leaves out has its probability
    hooks = [
        made.controller.out.register_forward_hook(weigh),
        made.act.register_forward_pre_hook(keep),
    ]
    objective.record(graph, *instance(made, count), limits(steps, count))
    for hook in hooks:
        hook.remove()
    pairs = zip(drawn_from, graph.draws.values(), strict=True)
    log_chance = sum(law.log_prob(value).detach() for law, (value, _) in pairs)
    log_chance = log_chance.view(samples, count).sum(0)
    assert log_chance.exp().sum().item() == pytest.approx(1, rel=1e-12)
    weight.append(count * log_chance.exp().repeat(samples)[:, None])  # the loss is a mean
    return gradients(graph.loss(), made)


def distance(found, wanted):
    """Of the parameter that is furthest off, in units of its gradient's largest entry."""
    return max(
        ((found[name] - want).abs().max() / want.abs().max()).item()
        for name, want in wanted.items()
    )


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_the_gradient_check_of_the_paper(controller, strict):
    """Central differences of the expected cost, along a random direction in each parameter."""
    made, step = make(controller=controller, strict=strict), 1e-4
    assert len(all_sequences(made, STEPS)) == 5832
    found, generator = mean_gradient(made), Generator().manual_seed(0)
    for name, parameter in made.controller.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        start, ends = parameter.detach().clone(), []
        for size in (step, -step, 0):
            with torch.no_grad():
                parameter.copy_(start + size * direction)
                ends.append(expected_cost(made).item())
        slope = (found[name] * direction).sum().item()
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6), name


@pytest.mark.parametrize("task", ["copy", "forward-reverse"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("baseline", ["none", "average", "learned", "self-critical"])
def test_every_baseline_leaves_the_gradient_exact(baseline, strict, task):
    made = make(baseline=baseline, strict=strict, task=task)
    torch.manual_seed(0)
    for _ in range(3):  # an average that knows something
        sf.expectation(made, 2, has_aux=True)(*instance(made, 8), limits(STEPS, 8))
    wanted = gradients(expected_cost(made), made)
    assert distance(mean_gradient(made), wanted) < RTOL


@pytest.mark.parametrize("mode", ["address", "absolute"])
def test_every_way_to_address_leaves_the_gradient_exact(mode):
    made = make(mode=mode, baseline="learned")
    assert distance(mean_gradient(made), gradients(expected_cost(made), made)) < RTOL


def test_where_attention_moves_the_gradient_is_exact_too(monkeypatch):
    for module, name in ((machine, "LETTER"), (model, "LETTER"), (controllers, "KIND")):
        monkeypatch.setattr(module, name, getattr(module, name).double())
    made = make(mode="soft", baseline="learned")
    objective = sf.expectation(made, has_aux=True)
    report = sf.check_unbiased(
        objective, *problem(2), limits(4), mode="exact", rtol=RTOL, repeats=30
    )
    assert report, report


class Constant(MemoryModel):
    """With a baseline that knows nothing."""

    def __init__(self, config):
        super().__init__(config)
        self.act = sf.StochasticNode(sf.ScoreFunction(sf.Constant(-0.7)), "action")


class SurvivalDetached(MemoryModel):
    """Broken: how likely the letters before were right counts, but is not learned from."""

    def run(self, machine, limit, greedy=False):
        survives = torch.ones(len(limit), dtype=torch.float64)
        for step in super().run(machine, limit, greedy):
            yield step._replace(right=step.right / survives * survives.detach())
            survives = step.right.where(step.right > 0, survives)


class EarlyCost(MemoryModel):
    """Broken: a step's cost is recorded before its draw."""

    def forward(self, *rows):
        *problems, limit = rows
        names = ["action", "action.1", "action.2"]
        for t, step in enumerate(self.run(self.machine(Problems(*problems)), limit)):
            sf.add_cost(-step.right, parents=names[:t])
        return torch.zeros(len(limit)), None


class MeanOfAll(sf.Baseline):
    """Broken: all draws, where it should be all but the own one."""

    def read(self, cost_to_go, prediction):
        return cost_to_go.mean(1, keepdim=True)


class Peeking(MemoryModel):
    """With that baseline."""

    def __init__(self, config):
        super().__init__(config)
        self.act = sf.StochasticNode(sf.ScoreFunction(MeanOfAll()), "action")


def test_a_constant_baseline_leaves_the_gradient_exact():
    made = make(Constant)
    assert distance(mean_gradient(made), gradients(expected_cost(made), made)) < RTOL


@pytest.mark.parametrize("broken", [SurvivalDetached, EarlyCost, Peeking])
def test_what_is_broken_fails_the_check(broken):
    whole = make()
    assert distance(mean_gradient(make(broken)), gradients(expected_cost(whole), whole)) > 0.01


FEWER = {"task": "forward-reverse", "samples": 2}
"""12 actions, none of them back: of two steps, 144 sequences, and 20,736 pairs of them."""


@pytest.mark.parametrize("strict", [True, False])
def test_leave_one_out_leaves_the_gradient_exact(strict):
    made = make(baseline="leave-one-out", strict=strict, **FEWER)
    wanted = gradients(expected_cost(made, 2), made)
    assert distance(mean_gradient(made, 2, samples=2), wanted) < RTOL
    broken = make(Peeking, strict=strict, **FEWER)
    assert distance(mean_gradient(broken, 2, samples=2), wanted) > 0.01


def check(made, rows=50, repeats=40):
    """By random draws, at an error rate of 1e-6 over all parameters; the truth is enumerated."""
    settings = {"mode": "monte_carlo", "repeats": repeats, "error_rate": FAMILY, "seed": 0}
    objective = sf.expectation(made, made.config.samples, has_aux=True)
    return sf.check_unbiased(objective, *instance(made, rows), limits(2, rows), **settings)


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
def test_by_random_draws_there_is_no_bias(baseline):
    report = check(make(baseline=baseline, **FEWER))
    assert report, report


def test_by_random_draws_a_baseline_that_knows_the_draw_is_found():
    assert not check(make(Peeking, **FEWER), repeats=100)
