"""The playground says the truth: its numbers beside the library's, for the same draws."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Categorical, MultivariateNormal

import sfgrad as sf
from applications.gaussian.comparison import Estimates, exact
from applications.gaussian.gaussian import Gaussian, scores
from applications.gaussian.rewards import LIMIT, Reward, find_reward, regions
from tests.applications.gaussian.browser import needs_browser

pytestmark = needs_browser

CELLS = 200
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
START = "mean=0.35,0.3&factor=1,0,1"
TILTED = "mean=-0.7,0.4&factor=0.8,0.5,0.6"
NARROW = "mean=1.1,-0.9&factor=0.06,-0.11,0.09"
BASELINES = {
    "none": lambda constant: None,
    "constant": lambda constant: sf.Constant(-constant),  # costs are minus rewards
    "moving-average": lambda constant: sf.MovingAverage().double(),
    "leave-one-out": lambda constant: sf.LeaveOneOut(),
}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def close(actual, expected):
    torch.testing.assert_close(tensor(actual).flatten(), expected.detach().flatten(), **TOLERANCE)


def gaussian_of(state):
    l11, l21, l22 = state["factor"]
    return Gaussian(tensor(state["mean"]), tensor([[l11, 0.0], [l21, l22]]))


def reward_of(page, state):
    """The reward of the page, as `make gaussian` reads the picture that the page saves."""
    (page.folder / "reward.png").write_bytes(page.saved("save-picture"))
    picture = find_reward(str(page.folder / "reward.png"))
    return Reward(lambda points: state["shift"] + state["scale"] * picture(points), "page")


@pytest.fixture
def open_state(open_page, tmp_path):
    def open(state):
        page = open_page(state, load=False)
        page.folder = tmp_path
        return page, page.numbers()

    return open


def normal(means, factors):
    return MultivariateNormal(means, scale_tril=factors, validate_args=False)


# ---------------------------------------------------------------- the Gaussian


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(
    "state",
    [
        f"{START}&samples=80&seed=1",
        f"{TILTED}&samples=7&seed=2&shift=1.5&scale=3&reward=hills&covariance=1&rate=0.4",
        f"{NARROW}&samples=300&seed=3&reward=checkerboard&constant=0.35",
    ],
)
def test_the_gaussian_agrees_with_the_library(baseline, state, open_state):
    page, numbers = open_state(f"{state}&baseline={baseline}")
    state = numbers["state"]
    gaussian, reward = gaussian_of(state), reward_of(page, state)
    points = tensor(numbers["draws"]).view(-1, 2)
    assert len(points) == state["samples"]

    close(numbers["log_probs"], normal(gaussian.mean, gaussian.factor).log_prob(points))
    close(numbers["scores"], scores(gaussian, points))
    close(numbers["rewards"], reward(points))

    # The estimate, by the mean and by the factor in the Gaussian's own units.
    own = BASELINES[baseline](state["constant"])
    shift, bend = (torch.zeros(*s, dtype=torch.float64, requires_grad=True) for s in ((2,), (2, 2)))
    here = gaussian.moved(shift, bend)
    by_mean, by_bend = estimates(here, (shift, bend), points, reward, own)
    close(numbers["estimate"], torch.linalg.solve(gaussian.factor.T, by_mean))
    close(numbers["estimate_factor"], by_bend[[0, 1, 1], [0, 0, 1]])

    # The step that the picture shows, and the button takes.
    after = gaussian.stepped(state["rate"] * by_mean, state["rate"] * state["covariance"] * by_bend)
    close(numbers["after"]["mean"], after.mean)
    close(numbers["after"]["factor"], after.factor[[0, 1, 1], [0, 0, 1]])
    page.act("step")
    taken = page.numbers()["state"]
    close(
        taken["mean"] + taken["factor"], torch.cat([after.mean, after.factor[[0, 1, 1], [0, 0, 1]]])
    )


def estimates(here, wrt, points, reward, baseline):
    """Gradients of the expected reward through a Gaussian that depends on `wrt`."""
    node = sf.StochasticNode(sf.ScoreFunction(baseline), name="draw")
    with sf.StochasticGraph(draws={"draw": points}) as graph:
        means = sf.branch(here.mean.unsqueeze(0), len(points))
        sf.add_cost(-reward(node(normal(means, here.factor.expand(len(points), 2, 2)))))
    return [-gradient for gradient in torch.autograd.grad(graph.loss(), wrt)]


def repeated(state):
    """The baseline of a repetition: a moving average is the one that the page has reached."""
    total, mass = state["average"]
    if state["baseline"] == "moving-average" and mass > 0:
        return sf.Constant(-total / mass)
    return BASELINES[state["baseline"]](state["constant"])


@pytest.mark.parametrize(
    "baseline", [*BASELINES, "moving-average&average=-0.3,0.4", "moving-average&average=0.02,0.01"]
)
@pytest.mark.parametrize(
    "state", [f"{START}&samples=16", f"{TILTED}&samples=5&reward=ring&shift=1"]
)
def test_the_cloud_agrees_with_the_library(baseline, state, open_state):
    """The repetitions use the baseline that the estimate beside them uses, an average too."""
    page, numbers = open_state(f"{state}&baseline={baseline}&constant=-0.5")
    state = numbers["state"]
    gaussian, reward = gaussian_of(state), reward_of(page, state)
    mean = gaussian.mean.clone().requires_grad_()
    gradients, without = [], []
    for points in tensor(numbers["cloud"]["draws"]).view(200, -1, 2):
        here = Gaussian(mean, gaussian.factor)
        gradients += estimates(here, [mean], points, reward, repeated(state))
        without += estimates(here, [mean], points, reward, None)
    found, plain = Estimates(torch.stack(gradients)), Estimates(torch.stack(without))
    close(numbers["cloud"]["estimates"], found.gradients)
    close(numbers["cloud"]["mean"], found.mean)
    variance, plain_variance = found.total_variance[0], plain.total_variance[0]
    assert numbers["cloud"]["total_variance"] == pytest.approx(variance, rel=1e-6)
    assert numbers["cloud"]["total_variance_none"] == pytest.approx(plain_variance, rel=1e-6)
    worth = state["samples"] * plain_variance / variance
    assert numbers["cloud"]["worth"] == pytest.approx(worth, rel=1e-6)


def cell_probabilities(mean, factor, cells):
    """P(cell) `[cells, cells]`, rows from the top, by Gauss-Legendre nodes across each column.

    Args:
        mean: `[2]`.
        factor: `[2, 2]`.
        cells: along each side of the plotted square.
    """
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(60))
    edges = torch.linspace(-LIMIT, LIMIT, cells + 1, dtype=torch.float64)
    half = LIMIT / cells
    x = (edges[:-1] + half).unsqueeze(1) + half * nodes  # [column, node]
    z = (x - mean[0]) / factor[0, 0]
    density = torch.exp(-z.square() / 2) / (factor[0, 0] * (2 * torch.pi) ** 0.5)
    below = torch.special.ndtr((edges - (mean[1] + factor[1, 0] * z).unsqueeze(2)) / factor[1, 1])
    mass = (weights * half * density).unsqueeze(2) * below.diff(dim=2)  # [column, node, row]
    return mass.sum(1).T.flip(0)


@pytest.mark.parametrize("place", [START, TILTED, NARROW, "mean=3.3,-5&factor=1.5,-1,0.7"])
@pytest.mark.parametrize("kind", ["regions&shift=2", "hills&scale=10", "checkerboard"])
def test_the_exact_gradient_is_exact(place, kind, open_state):
    page, numbers = open_state(f"{place}&reward={kind}&samples=3")
    state = numbers["state"]
    gaussian = gaussian_of(state)
    with Image.open(BytesIO(page.saved("save-picture"))) as picture:
        levels = tensor(np.asarray(picture, dtype=float)[..., 0].tolist())
    shift, bend = (torch.zeros(*s, dtype=torch.float64, requires_grad=True) for s in ((2,), (2, 2)))
    here = gaussian.moved(shift, bend)
    shares = cell_probabilities(here.mean, here.factor, CELLS)
    value = state["shift"] - state["scale"] + state["scale"] * (shares * levels / 127.5).sum()
    by_shift, by_bend = torch.autograd.grad(value, (shift, bend))
    close([numbers["expected_reward"]], value)
    close(numbers["exact_gradient"], torch.linalg.solve(gaussian.factor.T, by_shift))
    close(numbers["exact_gradient_factor"], by_bend[[0, 1, 1], [0, 0, 1]])


def test_the_exact_gradient_is_the_oracle_s(open_state, tmp_path):
    """A picture of 20 × 20 squares, uploaded: the library enumerates the square a sample is in."""
    levels = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)
    Image.fromarray(levels.repeat(10, 0).repeat(10, 1)).save(tmp_path / "squares.png")
    page, _ = open_state(f"{TILTED}&samples=3")
    page.tab.set_input_files("#picture-file", tmp_path / "squares.png")
    page.tab.wait_for_function("location.hash.includes('picture')")
    numbers = page.numbers()

    gaussian = gaussian_of(numbers["state"])
    mean = gaussian.mean.clone().requires_grad_()
    rewards = torch.cat([tensor(levels.tolist()).flatten() / 127.5 - 1, tensor([-1.0])])

    def cost():
        inside = cell_probabilities(mean, gaussian.factor, 20).flatten()
        shares = torch.cat([inside, 1 - inside.sum(0, keepdim=True)])
        return -rewards[sf.sample(Categorical(shares.unsqueeze(0), validate_args=False))]

    value, (gradient,) = sf.exact_gradient(cost, wrt=[mean])
    close([numbers["expected_reward"]], -value)
    close(numbers["exact_gradient"], -gradient)


def test_the_truth_is_that_of_the_pictures(open_state):
    """Built-in regions are those of `make gaussian`, but for the edges of the cells."""
    page, numbers = open_state("samples=3")
    gaussian = gaussian_of(numbers["state"])
    truth = exact(gaussian, find_reward(None), cells=2000)
    torch.testing.assert_close(tensor(numbers["exact_gradient"]), truth.gradient, rtol=0, atol=2e-3)
    side = 2 * LIMIT / CELLS
    middle = torch.arange(CELLS, dtype=torch.float64) * side + side / 2 - LIMIT
    points = torch.cartesian_prod(middle, middle)
    assert torch.equal(reward_of(page, numbers["state"])(points), regions(points))


def test_standardized_rewards_are_the_library_s(open_state):
    _, numbers = open_state(f"{TILTED}&baseline=standardized&scale=7&samples=30")
    close(numbers["weights"], sf.standardize(tensor(numbers["rewards"])))


def test_a_gradient_of_the_density_is_biased_and_the_page_says_so(open_state):
    """The negative control: what the page calls wrong is far from the truth, the rest is not."""
    page, wrong = open_state("gradient=density&samples=200")
    _, right = open_state("samples=200")
    assert float(page.text("#figure-off").split()[0]) > 8
    assert "Biased" in page.text("#worth")
    points = tensor(wrong["draws"]).view(-1, 2)
    density = normal(tensor([0.35, 0.3]), torch.eye(2, dtype=torch.float64)).log_prob(points).exp()
    weighted = (tensor(wrong["rewards"]) * density).unsqueeze(1) * tensor(wrong["scores"]).view(
        -1, 2
    )
    close(wrong["estimate"], weighted.mean(0))
    with pytest.raises(AssertionError):
        close(wrong["estimate"], tensor(right["estimate"]))


# ---------------------------------------------------------------- the five moves


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("state", ["samples=40", "samples=3&logits=2,-1,0.5,0,-3&scale=4&shift=-1"])
def test_the_policy_agrees_with_the_library(baseline, state, open_state):
    _, numbers = open_state(f"tab=moves&{state}&baseline={baseline}&constant=0.2")
    state = numbers["state"]
    logits = tensor(state["logits"]).requires_grad_()
    payoffs = state["shift"] + state["scale"] * tensor(state["payoffs"])
    moves = torch.tensor(numbers["draws"])

    close(numbers["log_probs"], Categorical(logits=logits).log_prob(moves))
    rows = logits.detach().repeat(len(moves), 1).requires_grad_()
    (by_rows,) = torch.autograd.grad(Categorical(logits=rows).log_prob(moves).sum(), rows)
    close(numbers["scores"], by_rows)
    close(numbers["rewards"], payoffs[moves])
    close(
        numbers["estimate"],
        policy_estimate(logits, moves, payoffs, BASELINES[baseline](state["constant"])),
    )

    def cost():
        return -payoffs[sf.sample(Categorical(logits=logits.unsqueeze(0)))]

    value, (gradient,) = sf.exact_gradient(cost, wrt=[logits])
    close([numbers["expected_reward"]], -value)
    close(numbers["exact_gradient"], -gradient)
    close(numbers["after"]["logits"], logits + state["rate"] * tensor(numbers["estimate"]))

    gradients = [
        policy_estimate(logits, draws, payoffs, repeated(state))
        for draws in torch.tensor(numbers["cloud"]["draws"]).view(200, -1)
    ]
    found = Estimates(torch.stack(gradients))
    close(numbers["cloud"]["estimates"], found.gradients)
    assert numbers["cloud"]["total_variance"] == pytest.approx(found.total_variance[0], rel=1e-6)


def policy_estimate(logits, moves, payoffs, baseline):
    node = sf.StochasticNode(sf.ScoreFunction(baseline), name="draw")
    with sf.StochasticGraph(draws={"draw": moves}) as graph:
        rows = sf.branch(logits.unsqueeze(0), len(moves))
        sf.add_cost(-payoffs[node(Categorical(logits=rows))])
    (gradient,) = torch.autograd.grad(graph.loss(), logits)
    return -gradient


# ---------------------------------------------------------------- draws of one's own


def test_draws_come_from_the_address(open_state):
    _, numbers = open_state(f"{TILTED}&draws=0.5,1,-1.25,0.125,3,-2")
    assert numbers["draws"] == [0.5, 1, -1.25, 0.125, 3, -2]
    assert numbers["state"]["samples"] == 3
    points = tensor(numbers["draws"]).view(-1, 2)
    close(numbers["scores"], scores(gaussian_of(numbers["state"]), points))
    _, numbers = open_state("tab=moves&draws=0,4,4,2")
    assert numbers["draws"] == [0, 4, 4, 2]


@pytest.mark.parametrize("text", ["1,2\n-0.5,0.25\n", "[[1, 2], [-0.5, 0.25]]", "1 2; -.5 .25"])
def test_draws_come_from_a_file(text, open_state, tmp_path):
    page, _ = open_state("")
    (tmp_path / "draws.txt").write_text(text)
    page.tab.set_input_files("#draws-file", tmp_path / "draws.txt")
    page.tab.wait_for_function("location.hash.includes('draws')")
    assert page.numbers()["draws"] == [1, 2, -0.5, 0.25]


def test_saved_numbers_are_a_state_again(open_state):
    page, before = open_state(f"{TILTED}&samples=9&baseline=leave-one-out&reward=hills&seed=4")
    file = page.download("save")
    other, _ = open_state("")
    other.tab.set_input_files("#draws-file", file.rename(page.folder / "estimate.json"))
    other.tab.wait_for_function("location.hash.includes('draws')")
    after = other.numbers()
    assert after["draws"] == before["draws"]
    close(after["estimate"], tensor(before["estimate"]))
