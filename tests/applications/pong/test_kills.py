"""Nothing is lost: a training of Pong killed twenty times at random, beside one left alone.

Each process is killed with SIGKILL after a random time and then resumed. At the end both trainings
must have made the same updates, each once; what they return differs by chance, since a resumed
run starts new games, and so does the order of two threads.

It takes 15 minutes, so it runs on demand alone: `make robustness`.
"""

import random
import subprocess
import sys

import pytest

from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, read_metrics

TRAINING = ("--steps", "500000", "--sticky-steps", "0", "--seed", "4")
LIVES = 2.0, 24.0
"""Shortest and longest life of a process, seconds."""
KILLS = 20


def start(folder):
    """The training in a folder, begun or resumed."""
    begun = (folder / CHECKPOINT).exists()
    command = [sys.executable, "-m", "applications.pong", "train", "--run-dir", str(folder)]
    return subprocess.Popen([*command, *(["--resume"] if begun else TRAINING)])


def train(folder, kills, random):
    """Train to the end: how many processes were killed on the way; their checkpoints are read."""
    made = 0
    while True:
        process = start(folder)
        try:
            status = process.wait(random.uniform(*LIVES) if made < kills else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            made += 1
            if (folder / CHECKPOINT).exists():
                load_state(folder / CHECKPOINT)
            continue
        assert status == 0
        return made


@pytest.mark.robustness
def test_a_training_killed_at_random_makes_every_update_once(tmp_path):
    folders = tmp_path / "killed", tmp_path / "left-alone"
    assert train(folders[0], KILLS, random.Random(0)) == KILLS
    assert train(folders[1], 0, random.Random(0)) == 0
    killed, alone = (read_metrics(folder / METRICS) for folder in folders)
    assert [line["update"] for line in killed] == list(range(1, len(alone) + 1))
    assert [line["agent_steps"] for line in killed] == [line["agent_steps"] for line in alone]
