"""Pong from pixels by REINFORCE: the 130-line script of Karpathy's post, in the library's words.

A policy of two layers sees the difference of two screens and draws UP or DOWN. Whatever it did
before a point won is made likelier, whatever it did before a point lost less likely; that is all.
The emulator is the real one (`ALE/Pong-v5`, which repeats an action with probability 0.25).

    .venv/bin/python examples/pong.py

shows the method rather than its success: 100 episodes take 2 minutes on two cores, in which it
still loses. The post needed 8,000; `make pong` has a recipe that is ahead in two minutes. It prints

    episode  10   mean return of the last 10: -20.40
    episode  20   mean return of the last 20: -20.25
    episode  30   mean return of the last 30: -20.33
    episode  40   mean return of the last 40: -20.40
    episode  50   mean return of the last 50: -20.40
    episode  60   mean return of the last 50: -20.28
    episode  70   mean return of the last 50: -20.36
    episode  80   mean return of the last 50: -20.32
    episode  90   mean return of the last 50: -20.26
    episode 100   mean return of the last 50: -20.12
"""

import argparse
from collections import deque

import ale_py
import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf

HIDDEN = 200
PIXELS = 80 * 80
ACTIONS = (2, 3)  # UP and DOWN, in the emulator's numbers
DISCOUNT = 0.99
LEARNING_RATE = 1e-3  # ten times that of the post, for a shorter show
BATCH = 10  # episodes in an update


def preprocess(screen: np.ndarray) -> Tensor:
    """The court `[6400]` of a screen `[210, 160, 3]`: 1 for the paddles and the ball, else 0."""
    court = screen[35:195:2, ::2, 0]
    is_background = (court == 144) | (court == 109)
    return torch.from_numpy((court != 0) & ~is_background).flatten().float()


def make_policy() -> nn.Module:
    """Differences of courts `[T, 6400]` to logits `[T, 2]`."""
    layers = nn.Linear(PIXELS, HIDDEN, bias=False), nn.Linear(HIDDEN, len(ACTIONS), bias=False)
    for layer in layers:
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def play(policy: nn.Module, environment: gymnasium.Env, seed: int) -> tuple[Tensor, ...]:
    """One episode: what the policy saw `[T, 6400]`, its moves `[T]` and the rewards `[T]`."""
    screen, _ = environment.reset(seed=seed)
    seen, moves, rewards = [], [], []
    previous = torch.zeros(PIXELS)
    is_over = False
    while not is_over:
        court = preprocess(screen)
        seen.append(court - previous)
        previous = court

        # Outside any graph a node just draws: playing needs no gradient.
        with torch.no_grad():
            move = sf.sample(Categorical(logits=policy(seen[-1][None])))
        screen, reward, terminated, truncated, _ = environment.step(ACTIONS[move])
        moves.append(move)
        rewards.append(reward)
        is_over = terminated or truncated
    return torch.stack(seen), torch.cat(moves), torch.tensor(rewards)


def surrogate(policy: nn.Module, seen: Tensor, moves: Tensor, rewards: Tensor) -> Tensor:
    """The loss `[]` of an episode, each move of which is a row with its return as a cost."""
    # Every point is a game of its own: the sum of later rewards begins again behind it.
    returns = sf.discounted_return(rewards, DISCOUNT, done=rewards != 0)
    advantage = sf.standardize(returns)

    # The moves are replayed: scored by the policy, not drawn again.
    with sf.StochasticGraph(draws={"move": moves}) as graph:
        sf.sample(Categorical(logits=policy(seen)), name="move")
        sf.add_cost(-advantage)
    return graph.loss()


def main(episodes: int) -> None:
    """Play, and learn after every ten episodes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain little from more threads
    gymnasium.register_envs(ale_py)
    environment = gymnasium.make("ALE/Pong-v5")
    policy = make_policy()
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=LEARNING_RATE, alpha=0.99)
    last = deque(maxlen=50)  # what the last episodes returned
    for episode in range(1, episodes + 1):
        seen, moves, rewards = play(policy, environment, seed=episode)
        (surrogate(policy, seen, moves, rewards) / BATCH).backward()  # gradients add up
        last.append(rewards.sum().item())
        if episode % BATCH == 0:
            optimizer.step()
            optimizer.zero_grad()
            mean = np.mean(last)
            print(
                f"episode {episode:3}   mean return of the last {len(last)}: {mean:.2f}", flush=True
            )
    environment.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100, help="games up to 21 points")
    main(parser.parse_args().episodes)
