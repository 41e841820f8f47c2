"""A learned cost handed to a solver: the controller is judged by what it does on the true system.

A cart has to be brought to rest by a linear-quadratic regulator. The solver is scipy's, and it is
given a model that leaves out what the true cart has: its motor is slow. With the true cost the
solver's controller is too bold. So the weights of the cost are learned instead: they are drawn,
the solver turns each draw into a controller, numpy drives the true cart with it, and what that
costs comes back as a number per draw. Nothing on this way is differentiable, and nothing need be.

    .venv/bin/python examples/lqr.py

takes 5 seconds on two cores and prints

    update  50   cost 1.07
    update 100   cost 1.04
    update 150   cost 0.86
    update 200   cost 0.83
    true     cost 1 : 0.10 : 0.01   gain 7.60 4.98   costs 2.57 on the true cart
    learned  cost 1 : 0.83 : 0.04   gain 3.82 4.64   costs 1.26 on the true cart
"""

import argparse

import numpy as np
import torch
from scipy.linalg import solve_discrete_are
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import sfgrad as sf

DT = 0.1  # seconds
A = np.array([[1.0, DT], [0.0, 1.0]])  # the model: position and speed …
B = np.array([[0.0], [DT]])  # … driven by a force
LAG = 0.5  # seconds that the true motor needs, which the model does not know
WANTED = np.array([1.0, 0.1, 0.01])  # true cost of position², speed² and force²
SPREAD = 0.2  # deviation of the logarithm of a weight
DRAWS = 16  # weights tried at each update


def controller(weights: np.ndarray) -> np.ndarray:
    """The gain `[2]` that is best for the model, by the weights of the three squares."""
    position, speed, force = weights
    cost_to_go = solve_discrete_are(A, B, np.diag([position, speed]), [[force]])
    return np.linalg.solve([[force]] + B.T @ cost_to_go @ B, B.T @ cost_to_go @ A)[0]


def drive(gains: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """What 10 seconds of the true cart cost under gains `[R, 2]`: means over starts `[N, 2]`."""
    on_position, on_speed, on_force = WANTED
    position, speed = starts.T
    motor = total = np.zeros((len(gains), len(starts)))
    for _ in range(100):
        force = -(gains[:, :1] * position + gains[:, 1:] * speed)
        cost = on_position * position**2 + on_speed * speed**2 + on_force * force**2
        total = total + DT * cost
        motor = motor + DT / LAG * (force - motor)  # the lag
        position, speed = position + DT * speed, speed + DT * motor
    return total.mean(axis=1)


class Weights(nn.Module):
    """A distribution over the weights of the cost, and what its draws cost on the true cart."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(np.log(WANTED)))  # begins at the true cost
        self.draw = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut(), samples=DRAWS))

    def forward(self, starts: np.ndarray) -> Tensor:
        """The logarithm of what each draw costs `[DRAWS]`, all from the same starts `[N, 2]`."""
        distribution = Independent(Normal(self.mean[None], SPREAD), 1)  # one row …
        weights = self.draw(distribution).exp()  # … of which the node makes DRAWS: [DRAWS, 3]
        gains = np.stack([controller(row) for row in weights.numpy()])
        costs = torch.from_numpy(drive(gains, starts))
        return costs.log()  # as a logarithm, one wild cart does not drown the others


def main(updates: int) -> None:
    """Learn the weights, and compare the two controllers on starts that neither has seen."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more threads
    random = np.random.default_rng(0)
    model = Weights()
    objective = sf.expectation(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for update in range(1, updates + 1):
        loss = objective(random.normal(size=(32, 2)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 50 == 0:
            print(f"update {update:3}   cost {loss.exp().item():.2f}", flush=True)

    starts = random.normal(size=(1000, 2))
    learned = model.mean.detach().exp().numpy()
    for name, weights in (("true", WANTED), ("learned", learned)):
        gain = controller(weights)
        position, speed, force = weights
        (cost,) = drive(gain[None], starts)
        print(
            f"{name:8} cost 1 : {speed / position:.2f} : {force / position:.2f}   "
            f"gain {gain[0]:.2f} {gain[1]:.2f}   costs {cost:.2f} on the true cart"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="updates of the weights")
    main(parser.parse_args().updates)
