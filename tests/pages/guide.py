"""Names that the blocks of docs/guide.md use and the page does not define."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf

ROWS, STEPS, TOKENS, HIDDEN = 2, 3, 4, 5


def everywhere():
    return {
        "torch": torch,
        "nn": nn,
        "F": F,
        "sf": sf,
        "Bernoulli": Bernoulli,
        "Categorical": Categorical,
        "Independent": Independent,
        "Normal": Normal,
    }


def wrapping_a_node():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(3, 1)

        def forward(self, x):
            return sf.sample(Bernoulli(logits=self.gate(x).squeeze(-1)), name="gate")

    return {
        "self": nn.Module(),
        "h": torch.zeros(ROWS, HIDDEN, requires_grad=True),
        "model": Gated(),
        "x": torch.randn(ROWS, 3),
        "steps": STEPS,
        "head": nn.Linear(HIDDEN, TOKENS),
        "core": lambda h, move: h + move[:, None],
        "step_cost": lambda h: h.sum(-1),
    }


def rows():
    def weighted(x, class_weights):
        return sf.sample(Bernoulli(logits=x @ class_weights))

    return {"model": weighted, "weights": torch.randn(3, requires_grad=True)}


def sequences_that_end():
    model = nn.Module()
    model.next = sf.StochasticNode(sf.ScoreFunction())
    model.head = nn.Linear(HIDDEN, TOKENS)
    model.core = lambda h, token: h + token[:, None]
    return {"self": model, "h": torch.zeros(ROWS, HIDDEN), "END": 0}


def ragged_rows():
    return {"h": torch.zeros(5, requires_grad=True), "edge_cost": lambda z: z}


def groups():
    tokens = torch.randint(TOKENS, (4, STEPS))
    return {
        "tokens": tokens,
        "log_probs": torch.zeros(4, STEPS),
        "prompt_of_each_row": torch.tensor([0, 1, 0, 1]),
        "model": nn.Embedding(TOKENS, TOKENS),
        "estimator": sf.ScoreFunction(sf.LeaveOneOut()),
        "before_end": torch.ones(4, STEPS, dtype=torch.bool),
        "reward": torch.rand(4),
    }


def costs_of_tokens():
    return {
        "moves": torch.randint(TOKENS, (ROWS, STEPS)),
        "logits": torch.randn(ROWS, STEPS, TOKENS, requires_grad=True),
        "return_to_go": torch.rand(ROWS, STEPS),
        "T": STEPS,
        "h": torch.zeros(ROWS, HIDDEN),
        "reward": lambda h: h.sum(-1),
    }


def replay():
    logits = torch.zeros(ROWS, requires_grad=True)
    return {"play": lambda: sf.add_cost(sf.sample(Bernoulli(logits=logits), name="move"))}


def is_it_right_on_my_model():
    class Priced(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 1)

        def forward(self, x):
            return 2 * sf.sample(Bernoulli(logits=self.linear(x).squeeze(-1)), name="step")

    return {"model": Priced(), "x": torch.randn(1, 3)}


def exploration():
    return {
        "logits": torch.zeros(ROWS, TOKENS, requires_grad=True),
        "temperature": 2.0,
        "entropy_coefficient": 0.01,
        "reward": lambda action: -action.float(),
    }
