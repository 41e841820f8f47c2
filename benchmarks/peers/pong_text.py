"""The algorithm of Karpathy's *Deep Reinforcement Learning: Pong from Pixels* (2016), with numpy.

One game after the other, one decision at a time: the difference of two frames of 80×80 pixels, 200
hidden units, the probability of UP. Ten games make an update. Written from the text's description;
but for the emulator, which repeats no action by chance and always skips four frames, its numbers.
"""

from dataclasses import dataclass, field

import ale_py
import gymnasium
import numpy as np

from benchmarks.peers.journal import Journal, parser

PIXELS, HIDDEN = 80 * 80, 200
DISCOUNT, DECAY, LEARNING_RATE, BATCH = 0.99, 0.99, 1e-4, 10
ACTIONS = (3, 2)
"""The emulator's DOWN and UP, by the move."""
LEVELS = np.ones(256)
LEVELS[[0, 109, 144]] = 0.0  # black and the two backgrounds, in red


def preprocess(screen: np.ndarray) -> np.ndarray:
    """Screen `[210, 160, 3]` to frame `[6400]`: the field, every second pixel, 0 or 1."""
    return LEVELS[screen[35:195:2, ::2, 0]].ravel()


@dataclass
class Game:
    """What is remembered of a game until it is learned from."""

    inputs: list[np.ndarray] = field(default_factory=list)
    hidden: list[np.ndarray] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    """∂ log p(move) / ∂ logit, by the decision."""
    rewards: list[float] = field(default_factory=list)

    def advantages(self) -> np.ndarray:
        """Discounted sums of later rewards `[T]`, each to the end of its point; standardised."""
        sums, later = np.zeros(len(self.rewards)), 0.0
        for t in reversed(range(len(sums))):
            later = self.rewards[t] if self.rewards[t] else DISCOUNT * later
            sums[t] = later
        return (sums - sums.mean()) / sums.std()


class Policy:
    """Two layers without biases, and RMSProp."""

    def __init__(self, random: np.random.Generator):
        self.random = random
        self.w1 = random.standard_normal((HIDDEN, PIXELS)) / np.sqrt(PIXELS)
        self.w2 = random.standard_normal(HIDDEN) / np.sqrt(HIDDEN)
        self.weights = (self.w1, self.w2)
        self.gradients = [np.zeros_like(weight) for weight in self.weights]
        self.squares = [np.zeros_like(weight) for weight in self.weights]

    def move(self, change: np.ndarray, game: Game) -> int:
        """Draw a move at the difference frame `[6400]`: 1 for UP; the game remembers it."""
        hidden = np.maximum(self.w1 @ change, 0)
        up = 1 / (1 + np.exp(-(self.w2 @ hidden)))
        move = int(self.random.random() < up)
        game.inputs.append(change)
        game.hidden.append(hidden)
        game.errors.append(move - up)
        return move

    def add_gradient(self, game: Game) -> None:
        """Add the score-function gradient of a game, summed over its decisions."""
        error = np.array(game.errors) * game.advantages()
        hidden = np.array(game.hidden)
        back = np.outer(error, self.w2) * (hidden > 0)
        self.gradients[0] += back.T @ np.array(game.inputs)
        self.gradients[1] += error @ hidden

    def update(self) -> None:
        """A step of RMSProp, uphill."""
        for weight, gradient, square in zip(
            self.weights, self.gradients, self.squares, strict=True
        ):
            square += (1 - DECAY) * (gradient**2 - square)
            weight += LEARNING_RATE * gradient / (np.sqrt(square) + 1e-5)
            gradient.fill(0)


def train(journal: Journal, seed: int) -> None:
    """Play and learn until the time is over."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    emulator = gymnasium.make("ALE/Pong-v5", frameskip=4, repeat_action_probability=0.0)
    policy, steps = Policy(np.random.default_rng(seed)), 0
    screen, _ = emulator.reset(seed=seed)
    while True:
        game, over, last = Game(), False, preprocess(screen)
        while not over:
            frame = preprocess(screen)
            move = policy.move(frame - last, game)
            last = frame
            screen, reward, terminated, truncated, _ = emulator.step(ACTIONS[move])
            over, steps = terminated or truncated, steps + 1
            game.rewards.append(float(reward))
            if over:
                journal.finish(sum(game.rewards))
            if not journal.go_on(steps):
                return
        policy.add_gradient(game)
        if journal.episodes % BATCH == 0:
            policy.update()
        screen, _ = emulator.reset()


def main() -> None:
    line = parser(__doc__.splitlines()[0])
    line.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    options = line.parse_args()
    train(Journal(options), options.seed)


if __name__ == "__main__":
    main()
