"""Roll-outs: every step is recorded once, as it was."""

import numpy as np
import torch

from applications.pong.frames import Frames, Pairs
from applications.pong.policy import ActorCritic
from tests.applications.pong.lights import Lights, by_product, collector, opinionated


def mask(screens):
    """The text's rule, `[N, 1, 210, 160]` to `[N, 6400]`."""
    return (screens[:, 0, 35:195:2, ::2] != 87).reshape(len(screens), -1)


def plain_loop(moves, sizes):
    """The same moves, made one after the other.

    Yields a step's frames, rewards and ends `[N]`, and the returns of the episodes that it ended.
    """
    emulators = [Lights(size) for size in sizes]
    first = [True] * sum(sizes)
    now = np.concatenate([mask(e.reset(5 + 5 * i)[0]) for i, e in enumerate(emulators)])
    last, scores = now, [0.0] * len(now)
    for chosen in moves.numpy():
        frames = np.concatenate([now, np.where(np.array(first)[:, None], now, last)], 1)
        parts = []
        for emulator, part in zip(emulators, np.split(chosen, sizes[:1]), strict=True):
            emulator.send(np.where(part == 1, 2, 3))
            parts.append(emulator.recv())
        last, now = now, np.concatenate([mask(part[0]) for part in parts])
        rewards, ended, cut_off = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
        first = ended | cut_off
        finished = []
        for game in range(len(scores)):
            scores[game] += rewards[game]
            if first[game]:
                finished.append(scores[game])
                scores[game] = 0.0
        yield frames, rewards, first, finished


def test_every_step_is_recorded_once_and_as_it_was():
    """Two roll-outs of two groups, three and two games, under two policies."""
    torch.manual_seed(0)
    models = [opinionated(ActorCritic(hidden=8)) for _ in range(2)]
    play = collector(environments=5, horizon=19)
    rollouts = [play.collect(model) for model in models]
    steps = plain_loop(torch.cat([rollout.moves for rollout in rollouts]), [3, 2])
    for rollout, model in zip(rollouts, models, strict=True):
        rows = Frames.of(*rollout.changes, 1.0)
        dense = rows.dense(Pairs.size).numpy().reshape(19, 5, -1)
        returns = []
        for t in range(19):
            frames, rewards, ended, finished = next(steps)
            np.testing.assert_array_equal(dense[t], frames)
            np.testing.assert_array_equal(rollout.rewards[t], rewards)
            np.testing.assert_array_equal(rollout.ended[t], ended)
            returns += finished
        assert rollout.returns == returns
        assert len(returns) >= 5
        dist, value = by_product(model, torch.from_numpy(dense).flatten(0, 1))
        for got, wanted in [
            (rollout.log_probs.flatten(), dist.log_prob(rollout.moves.flatten().double())),
            (rollout.values[:-1].flatten(), value),
        ]:
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)
            assert wanted.std() > 0.1
    torch.testing.assert_close(
        models[1](first_frames(rollouts[1]))[1], rollouts[1].values[0], rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(  # where a roll-out ends, the next begins
        models[0](first_frames(rollouts[1]))[1], rollouts[0].values[-1], rtol=1e-9, atol=1e-12
    )


def first_frames(rollout):
    pixels, levels, counts = rollout.changes
    first = counts[: rollout.moves.shape[1]]
    return Frames.of(pixels[: first.sum()], levels, first, 1.0)
