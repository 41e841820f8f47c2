"""What a training of the fast recipe is asked to do, and what all recipes are."""

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
    """What the trainings of all recipes are asked.

    Raises:
        RunError: there is no such game.
    """

    game: str = "pong"
    """Game of the emulator."""

    def __post_init__(self) -> None:
        """Find the game's own name."""
        super().__post_init__()
        object.__setattr__(self, "game", find_game(self.game))  # as dataclasses do


@dataclass(frozen=True)
class Config(GameTraining):
    """What is trained, on what, and how."""

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
    environments: Count = 32
    """Games played side by side."""
    horizon: Several = 64
    """Steps of each game in a roll-out, in the first stage."""
    frames: Sight = "pair"
    """What the policy sees: a `pair` of frames or their `difference`."""
    shuffle: bool = False
    """Whether it sees the pixels in another order, drawn once and for all."""
    rest: Rest = True
    """Whether Pong's paddle may also be left where it is."""
    network: Literal[tuple(NETWORKS)] | None = None
    """`dense`, `conv`, or `apart`: dense, with hidden units of its own for the expected return; by
    default `dense`, and `apart` where a trust region bounds the divergence."""
    hidden: Count = 128
    """Hidden units."""
    discount: Share = 0.99
    """γ, per agent step."""
    gae_lambda: Share = 0.95
    """λ of the advantages."""
    cut: bool | None = None
    """Whether a move is credited up to the next point only, not to the end of the game; by default
    in Pong."""
    baseline: bool = True
    """Whether the expected return is subtracted from the return."""
    standardize: bool = True
    """Whether advantages are standardised in each roll-out."""
    trust: Literal["clip", "line", "natural"] = "clip"
    """What bounds the change that a roll-out makes: `clip` the ratio of probabilities to those of
    the policy that played it; `line` and `natural` the divergence from the policy before the step,
    which goes along either gradient."""
    clip_range: Annotated[float, Range(1e-3), CLIPPED] = 0.2
    """A move counts only while the ratio of its probability to what it was is within this of 1."""
    max_kl: Annotated[Positive, BOUNDED] = 0.01
    """Largest divergence of a roll-out's step from the policy before it, nats."""
    epochs: Count = 10
    """How many times each step is learned from."""
    minibatch: Several = 512
    """Steps per update of the weights, in the first stage."""
    learning_rate: Amount | None = None
    """AdamW's step size when a stage begins; it falls to 0 with the stage's last step. Its
    default is smaller after imitation: a policy that can play is soon spoilt by large steps."""
    entropy_coefficient: Amount = 0.01
    """Reward of the policy's entropy, standard deviations of the advantage (or points, if that is
    not standardised) per nat; it falls as the step size does."""
    value_coefficient: Annotated[Amount, VALUED] = 0.5
    """Weight of the squared error of the expected return."""
    weight_decay: Amount = 0.01
    """AdamW's decay of weights (L2)."""
    start: str | None = None
    """Run folder of the policy to begin with, or `shipped`."""
    imitation_steps: Steps = 0
    """Agent steps for which a teacher plays and is imitated, before the first stage."""
    imitation_rate: Annotated[Amount, IMITATED] = 2.5e-3
    """AdamW's step size at the start of imitation."""
    teacher: Annotated[str, IMITATED] | None = None
    """Run folder of the teacher; by default the policy that is `shipped`."""
    steps: Steps = 700_000
    """Agent steps of the first stage, in which every action is done as sent."""
    sticky: Annotated[Share, STICKY] = 0.25
    """In the second stage, the probability per frame that the emulator repeats the last action."""
    sticky_steps: Steps = 3_000_000
    """Agent steps of the second stage."""
    sticky_scale: Annotated[Count, STICKY] = 4
    """Roll-outs and minibatches of the second stage are this many times as long."""
    sticky_rate: Annotated[Amount, STICKY] = 0.6
    """Step size of the second stage, as a share of the first's."""
    film_minutes: Amount | None = None
    """Minutes of training from one film of the policy to the next; by default no films."""

    def __post_init__(self) -> None:
        """Fill in what depends on other options."""
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
    """A limit on them."""
    return Limit("agent steps", lambda state: state["agent_steps"], target)


@dataclass(frozen=True)
class Stage:
    """A part of the training, under one probability of repeated actions."""

    sticky: float
    """That probability, per frame."""
    begin: int
    """Agent steps before it."""
    end: int
    """And up to its end."""
    horizon: int
    """Steps of each game in a roll-out."""
    minibatch: int
    """Steps per update of the weights."""
    learning_rate: float
    """AdamW's step size when it begins."""
    imitation: bool = False
    """Whether a teacher plays."""

    def left(self, agent_steps: int) -> float:
        """The share of it that is still to come."""
        return max(0.0, (self.end - agent_steps) / max(self.end - self.begin, 1))


def stages(config: Config) -> list[Stage]:
    """Imitation; then as the text's emulator is without chance; then as `ALE/Pong-v5` is."""
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
