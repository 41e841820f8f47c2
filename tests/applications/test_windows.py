"""What Windows lacks is needed by no more than training: here a process does without it."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, warnings
from importlib import import_module

sys.modules["fcntl"] = None
del os.sysconf
warnings.simplefilter("error")
for name in ("control", "gaussian", "glimpse", "memory", "pong"):
    import_module(f"applications.{name}.__main__")
print("imported", flush=True)

import ale_py, gymnasium
from applications.pong import load_policy
from applications.pong.__main__ import main

gymnasium.register_envs(ale_py)
environment = gymnasium.make("ALE/Pong-v5")
policy = load_policy("pong", environment=environment)
screen, _ = environment.reset(seed=0)
for _ in range(20):
    screen, *_ = environment.step(policy(screen))
print("played", flush=True)

folder = sys.argv[1]
print("watch", main(["watch", "--steps", "5", "--output", folder + "/game.gif"]))
print("evaluate", main(["evaluate", "--episodes", "1", "--json"]))
print("train", main(["train", "--run-dir", folder + "/run"]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("windows")


@pytest.fixture(scope="module")
def process(folder):
    """All of it in one process, since most of the time goes into imports."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_application_is_imported(process):
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("imported\n")


def test_the_shipped_policy_is_played_filmed_and_evaluated(process, folder):
    assert "\nplayed\n" in process.stdout
    assert "pong: 5 agent steps, return +0\nwatch 0\n" in process.stdout
    assert (folder / "game.gif").stat().st_size > 1000
    assert '"episodes": 1' in process.stdout
    assert "\nevaluate 0\n" in process.stdout


def test_training_says_what_it_needs(process):
    assert process.stdout.endswith("\ntrain 2\n")
    assert "this system has no fcntl, whose locks keep two trainings out" in process.stderr
    assert "Traceback" not in process.stderr
