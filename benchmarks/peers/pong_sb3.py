"""Stable-Baselines3's PPO and A2C on Pong, with the settings that RL Zoo tuned for Atari.

The environment is theirs too: `AtariWrapper` (up to 30 no-ops at the start, FIRE, the maximum of
the last two of four frames, 84×84 grey, rewards clipped) and a stack of four such frames, all six
actions of the game. `PongNoFrameskip-v4` repeats no action by chance. The monitor below the wrapper
tells the game's own returns. PPO's step size and clip range fall as in a training of ten million
steps, which is what they were tuned for.
"""

from argparse import Namespace

import ale_py
import gymnasium
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack

from benchmarks.peers.journal import Journal, parser

STEPS = 10_000_000
"""Of the training that the schedules are for."""
VECTORS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


class Watch(BaseCallback):
    """Keeps the journal, and ends the training when its time is over."""

    def __init__(self, journal: Journal):
        super().__init__()
        self.journal = journal

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.journal.finish(info["episode"]["r"])
        return self.journal.go_on(self.num_timesteps)


def games(count: int, options: Namespace) -> VecEnv:
    """So many games side by side, the last four frames of each."""
    how = {"start_method": "fork"} if options.vector == "subproc" else {}  # the quickest to begin
    made = make_atari_env(
        "PongNoFrameskip-v4",
        count,
        options.seed,
        vec_env_cls=VECTORS[options.vector],
        vec_env_kwargs=how,
    )
    return VecFrameStack(made, 4)


def ppo(options: Namespace) -> BaseAlgorithm:
    """Proximal policy optimization."""
    return PPO(
        "CnnPolicy",
        games(8, options),
        learning_rate=LinearSchedule(2.5e-4, 0, 1),
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        clip_range=LinearSchedule(0.1, 0, 1),
        ent_coef=0.01,
        vf_coef=0.5,
        seed=options.seed,
    )


def a2c(options: Namespace) -> BaseAlgorithm:
    """Advantage actor-critic, synchronous."""
    rmsprop = {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}}
    return A2C(
        "CnnPolicy",
        games(16, options),
        ent_coef=0.01,
        vf_coef=0.25,
        policy_kwargs=rmsprop,
        seed=options.seed,
    )


ALGORITHMS = {"ppo": ppo, "a2c": a2c}


def main() -> None:
    line = parser(__doc__.splitlines()[0])
    line.add_argument("--algorithm", choices=ALGORITHMS, required=True)
    line.add_argument("--vector", choices=VECTORS, default="subproc", help="(%(default)s)")
    line.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    options = line.parse_args()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    model = ALGORITHMS[options.algorithm](options)
    model.learn(STEPS, Watch(Journal(options)))
    model.get_env().close()


if __name__ == "__main__":
    main()
