"""The options of the fast recipe, and those that all recipes share."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from applications.kit.errors import OptionError
from applications.kit.options import (
    Amount,
    Count,
    Limit,
    Needs,
    Positive,
    Range,
    Several,
    Share,
    Steps,
    Training,
)
from applications.pong.frames import SIGHTS
from applications.pong.games import find_game
from applications.pong.policy import NETWORKS

RecipeName = Literal["fast", "blog", "cross-entropy"]
Sight = Literal[tuple(SIGHTS)]
Rest = Annotated[bool, Needs(lambda config: config.game == "pong", "--game pong")]
VALUED = Needs(lambda config: config.trust == "clip" or config.imitation_steps > 0, "--trust clip")
CLIPPED = Needs(lambda config: config.trust == "clip", "--trust clip")
BOUNDED = Needs(lambda config: config.trust != "clip", "--trust line or natural")
IMITATED = Needs(lambda config: config.imitation_steps > 0, "--imitation-steps")
STICKY = Needs(lambda config: config.sticky_steps > 0, "--sticky-steps")


@dataclass(frozen=True, kw_only=True)
class GameTraining(Training):
    """Options of all recipes.

    Raises:
        RunError: there is no such game.
    """

    game: str = "pong"
    """The game: any of the emulator's."""

    def __post_init__(self) -> None:
        """Replace the game by its own name."""
        super().__post_init__()
        object.__setattr__(self, "game", find_game(self.game))  # as dataclasses do


@dataclass(frozen=True)
class Config(GameTraining):
    """Options of a training by the fast recipe."""

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "film_minutes")
    RENAMED: ClassVar = {
        "trace": "gae_lambda",
        "clip": "clip_range",
        "bound": "max_kl",
        "entropy": "entropy_coefficient",
        "value": "value_coefficient",
        "l2": "weight_decay",
        "patience": "sticky_scale",
        "caution": "sticky_rate",
    }

    recipe: Literal["fast"] = "fast"
    """The recipe that this configures."""
    environments: Count = 8
    """Games that are played at the same time."""
    horizon: Several = 256
    """Agent steps of each game in a roll-out, in the first stage."""
    frames: Sight = "pair"
    """Input of the policy: a `pair` of frames or their `difference`."""
    shuffle: bool = False
    """Permute the pixels, in an order drawn once and for all."""
    rest: Rest = True
    """Allow a third move in Pong, which leaves the paddle where it is."""
    network: Literal[tuple(NETWORKS)] | None = None
    """`dense`, `conv`, or `apart`: dense, with separate hidden units for the expected return
    (default: `dense`; `apart` where a trust region bounds the divergence)."""
    hidden: Count = 128
    """Number of hidden units."""
    discount: Share = 0.99
    """Discount γ per agent step."""
    gae_lambda: Share = 0.95
    """λ of the generalised advantages."""
    cut: bool | None = None
    """Credit a move up to the next point only, not to the end of the episode (default: in Pong)."""
    baseline: bool = True
    """Subtract the expected return from the return."""
    standardize: bool = True
    """Standardise the advantages of each roll-out."""
    trust: Literal["clip", "line", "natural"] = "clip"
    """What bounds the change of the policy by a roll-out. `clip` bounds the ratio of probabilities
    to those of the policy that played it. `line` and `natural` bound the divergence from the policy
    before the step, which goes along the plain or the natural gradient."""
    clip_range: Annotated[float, Range(1e-3), CLIPPED] = 0.2
    """A move counts while its probability has changed by at most this fraction."""
    max_kl: Annotated[Positive, BOUNDED] = 0.01
    """Largest divergence of the policy after a roll-out's step from that before it, in nats."""
    epochs: Count = 10
    """How often each agent step is learned from."""
    minibatch: Several = 512
    """Agent steps per update of the weights, in the first stage."""
    learning_rate: Amount | None = None
    """AdamW's step size at the beginning of a stage; it falls to 0 by the stage's end (default:
    2.5e-3; 3e-4 after imitation, because large steps spoil a policy that can already play)."""
    entropy_coefficient: Amount = 0.01
    """Weight of the entropy bonus, in standard deviations of the advantage per nat (in points per
    nat if advantages are not standardised); it falls as the step size does."""
    value_coefficient: Annotated[Amount, VALUED] = 0.5
    """Weight of the squared error of the expected return in the loss."""
    weight_decay: Amount = 0.01
    """AdamW's weight decay (L2)."""
    start: str | None = None
    """Policy to begin with: the folder of a run, or `shipped` (default: an untrained one)."""
    imitation_steps: Steps = 0
    """Agent steps before the first stage in which a teacher plays and is imitated."""
    imitation_rate: Annotated[Amount, IMITATED] = 2.5e-3
    """AdamW's step size at the beginning of imitation."""
    teacher: Annotated[str, IMITATED] | None = None
    """Run folder of the teacher (default: the shipped policy)."""
    steps: Steps = 700_000
    """Agent steps of the first stage, in which the emulator executes every action as sent."""
    sticky: Annotated[Share, STICKY] = 0.25
    """Probability per frame that the emulator repeats the last action, in the second stage."""
    sticky_steps: Steps = 3_000_000
    """Agent steps of the second stage."""
    sticky_scale: Annotated[Count, STICKY] = 4
    """Factor by which the second stage lengthens roll-outs and minibatches."""
    sticky_rate: Annotated[Amount, STICKY] = 0.6
    """Factor by which the second stage multiplies the step size."""
    film_minutes: Amount | None = None
    """Minutes of training between films of the policy (default: no films)."""

    def __post_init__(self) -> None:
        """Fill in the defaults that depend on other options."""
        super().__post_init__()
        self.fill(
            network="dense" if self.trust == "clip" else "apart",
            cut=self.game == "pong",
            learning_rate=3e-4 if self.imitation_steps else 2.5e-3,
        )
        if self.trust != "clip" and self.network != "apart":
            raise OptionError(
                f"a bound on the divergence moves the policy alone, and in the network "
                f"{self.network} it shares its units: use --network apart"
            )

    def limits(self) -> list[Limit]:
        """The agent steps of all stages, and the time."""
        total = self.imitation_steps + self.steps + self.sticky_steps
        return [agent_steps(total), *super().limits()]


def agent_steps(target: int) -> Limit:
    """The limit at so many agent steps."""
    return Limit("agent steps", lambda state: state["agent_steps"], target)


@dataclass(frozen=True)
class Stage:
    """A part of the training with one probability of repeated actions."""

    sticky: float
    """Probability per frame that the last action is repeated."""
    begin: int
    """Agent steps made when it begins."""
    end: int
    """Agent steps made when it ends."""
    horizon: int
    """Agent steps of each game in a roll-out."""
    minibatch: int
    """Agent steps per update of the weights."""
    learning_rate: float
    """AdamW's step size at its beginning."""
    imitation: bool = False
    """Whether a teacher plays in it."""

    def left(self, agent_steps: int) -> float:
        """The share of its steps that is still to come."""
        return max(0.0, (self.end - agent_steps) / max(self.end - self.begin, 1))


def stages(config: Config) -> list[Stage]:
    """Imitation, a stage without sticky actions, and one with those of `ALE/Pong-v5`."""
    begin = config.imitation_steps
    middle = begin + config.steps
    end = middle + config.sticky_steps
    quick = config.horizon, config.minibatch, config.learning_rate
    calm = (
        config.sticky_scale * config.horizon,
        config.sticky_scale * config.minibatch,
        config.sticky_rate * config.learning_rate,
    )
    return [
        Stage(0.0, 0, begin, *quick[:2], config.imitation_rate, imitation=True),
        Stage(0.0, begin, middle, *quick),
        Stage(config.sticky, middle, end, *calm),
    ]
