import runpy

import torch
from torch.distributions import Categorical

from tests.examples.programs import ROOT, check_form, number, run


def test_ten_episodes_are_played_on_the_emulator(tmp_path):
    output = run("pong.py", "--episodes", "10", folder=tmp_path)
    check_form("pong.py", output)
    assert -21 <= number(output, r"of the last 10: (\S+)") < -15


def test_its_gradient_is_that_of_the_formula():
    names = runpy.run_path(str(ROOT / "examples" / "pong.py"))
    torch.manual_seed(0)
    policy = torch.nn.Linear(6, 2).double()
    seen = torch.randn(5, 6, dtype=torch.float64)
    moves = torch.tensor([0, 1, 1, 0, 1])
    rewards = torch.tensor([0.0, -1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    names["surrogate"](policy, seen, moves, rewards).backward()

    returns = torch.tensor([-0.99, -1, 0.99**2, 0.99, 1], dtype=torch.float64)
    advantage = (returns - returns.mean()) / returns.std(correction=0)
    log_prob = Categorical(logits=policy(seen)).log_prob(moves)
    (wanted,) = torch.autograd.grad(-(log_prob * advantage).mean(), [policy.weight])
    torch.testing.assert_close(policy.weight.grad, wanted, rtol=1e-6, atol=0)  # eps is 1e-8
