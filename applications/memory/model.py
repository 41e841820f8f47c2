"""The model: a controller that works the machine, each of its choices a draw."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf
from applications.memory.config import Config
from applications.memory.controllers import Controller
from applications.memory.machine import LETTER, Machine, actions
from applications.memory.tasks import Problems

LOST_PROBABILITY = 1e-3
"""A run ends when its probability of being right so far is below this."""
BASELINE_SCALE = 10
"""Divisor of letters due and steps left for the baseline."""
CHECK_INTERVAL = 8
"""Steps between checks whether all rows are done."""


class Step(NamedTuple):
    """One step of all rows."""

    action: Tensor
    """Int64 `[R]`, a row of the machine's table."""
    right: Tensor
    """`[R]`, probability that the letter given out is right, with `strict` that all so far are; 0
    where none was given out."""
    entropy: Tensor
    """`[R]`, of the choice, nats; 0 where the row was done."""
    alive: Tensor
    """Bool `[R]`, whether the row was still at work."""


class MemoryModel(nn.Module):
    """Works through problems; every choice of an action is one stochastic node.

    A module whose call records, in the active graph, one cost per row after each step: minus the
    probability that the letter given out is right (with `strict`: it and all before it). So
    `sf.expectation(model, samples, has_aux=True)` gives the training loss. Outside a graph `run`
    simply runs.

    Args:
        config: mode, controller, estimator.

    Unbiased: yes, given where runs end. With `strict` a run ends once it is less likely than
    `LOST_PROBABILITY` to be right so far, and that moves with the weights.

    Source: Zaremba & Sutskever (2015), Reinforcement Learning Neural Turing Machines.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.table = actions(config.mode, config.task, config.cells)
        soft = config.mode == "soft"
        self.controller = Controller(config.controller, len(self.table), config.units, soft)
        self.act = sf.StochasticNode(choose_estimator(config.baseline, config.units), "action")

    def enough(self, problems: Problems) -> Tensor:
        """Steps in which the problems can be done, int64 `[R]`."""
        return problems.enough if self.config.mode == "moves" else problems.streamed

    def machine(self, problems: Problems) -> Machine:
        """A machine with these problems on its tape; its memory is as long as the longest tape."""
        fixed = self.config.mode == "absolute"
        cells = self.config.cells if fixed else problems.tape.shape[1]
        return Machine(problems, self.config.mode, self.table, cells)

    def run(self, machine: Machine, limit: Tensor, greedy: bool = False) -> Iterator[Step]:
        """Work until every row is done or out of time.

        Args:
            machine: with the problems.
            limit: int64 `[R]`, steps.
            greedy: do what is likeliest, instead of drawing.
        """
        due, rows = machine.problems.due, len(limit)
        choices = torch.eye(len(self.table))
        before, state = choices.new_zeros(rows, len(choices)), None
        survives = choices.new_ones(rows)
        for t in range(int(limit.max())):
            alive = (machine.given < due) & (t < limit) & (survives.detach() > LOST_PROBABILITY)
            if t % CHECK_INTERVAL == 0 and not alive.any():
                return
            chosen = self.controller(LETTER[machine.symbol], machine.recalled, before, state)
            logits, state = chosen.logits, chosen.state
            if (allowed := machine.allowed()) is not None:
                logits = logits.masked_fill(~allowed, -1e9)
            moves = Categorical(logits=logits, validate_args=False)
            wanted = machine.wanted()
            if greedy:
                action = logits.argmax(1)
                right = (chosen.says.argmax(1) == wanted).float()
            else:
                to_come = torch.stack((due - machine.given, limit - t), 1) / BASELINE_SCALE
                worth = (alive * survives.detach())[:, None]
                known = torch.cat((chosen.hidden.detach(), to_come, worth), 1)
                action = self.act(moves, context=known, mask=alive)
                right = chosen.says.gather(1, wanted[:, None])[:, 0] * survives
            gives = machine.step(action, alive, chosen.shifts, chosen.sharpness)
            if self.config.strict and not greedy:
                survives = right.where(gives, survives)
            yield Step(action, right * gives, moves.entropy().where(alive, 0), alive)
            before = choices[action]

    def forward(self, *rows: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run, and record the costs.

        Args:
            rows: of `Problems`, and limits, int64 `[R]`.

        Returns:
            No further cost, `[R]`; and, each `[R]`: the entropy of all choices, nats, the letters
            given right, the steps taken.
        """
        *problems, limit = rows
        entropy = right = steps = torch.zeros(len(limit))
        for step in self.run(self.machine(Problems(*problems)), limit):
            sf.add_cost(-step.right)
            entropy, right = entropy + step.entropy, right + step.right.detach()
            steps = steps + step.alive
        return torch.zeros(len(limit)), (entropy, right, steps)


class Critic(nn.Module):
    """Predicts the cost to go from the state, the letters due, the steps left.

    What it predicts is multiplied by what a letter is still worth: 0 where the run is over.

    Args:
        units: of the state.
    """

    def __init__(self, units: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(units + 3, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, context: Tensor) -> Tensor:
        """`[R, units + 3]` → `[R]`, letters."""
        return -self.layers(context)[:, 0] * context[:, -1]


def choose_estimator(baseline: str, units: int) -> sf.ScoreFunction:
    """The score function with a baseline of that name."""
    if baseline == "none":
        return sf.ScoreFunction()
    made = {
        "average": sf.MovingAverage,
        "learned": lambda: sf.Learned(Critic(units)),
        "leave-one-out": sf.LeaveOneOut,
        "self-critical": sf.SelfCritical,
    }[baseline]()
    return sf.ScoreFunction(made)
