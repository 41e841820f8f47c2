"""Metrics that no training wrote are refused by name, and never end in a traceback."""

import json

import pytest

from applications.control.pictures import read_course
from applications.gaussian.__main__ import history_of
from applications.glimpse.config import Config as GlimpseConfig
from applications.glimpse.pictures import plot_learning as plot_glimpse
from applications.kit.errors import RunError
from applications.kit.records import CONFIG, METRICS, column, read_metrics
from applications.memory.pictures import plot_learning as plot_memory
from applications.pong import curves
from applications.pong.pictures import plot_curve

WRONG = ("x", True, {}, ["x"], [[1]], None)


def glimpse(folder):
    plot_glimpse(read_metrics(folder / METRICS), GlimpseConfig())


def memory(folder):
    config = {"task": "copy", "mode": "moves", "last": 10, "seed": 0}
    plot_memory([read_metrics(folder / METRICS)], config)


def pong(folder):
    plot_curve(read_metrics(folder / METRICS), "by hand")


def pong_curves(folder):
    curves.plot(curves.Options(runs=(folder,), output=folder / "curves.png"))


def gaussian(folder):
    history_of(folder / METRICS)


PONG = {"update": 1, "seconds": 1.0, "agent_steps": 9, "episodes": 1, "mean_return": -20.0}
CASES = {
    glimpse: {"images": 9, "seconds": 1.0, "error": 0.5, "baseline_fit": 0.1},
    memory: {
        "update": 1,
        "seconds": 1.0,
        "level": 1,
        "error": 0.5,
        "entropy": 1.0,
        "gradient_snr": 0.1,
    },
    pong: {**PONG, "returns": [-20.0]},
    pong_curves: PONG,
    read_course: {"episodes": 9, "agent_steps": 9, "cpu_seconds": 1.0, "mean_return": 9.0},
    gaussian: {
        "update": 0,
        "expected_reward": 0.5,
        "standard_error": 0.1,
        "mean": [0.0, 1.0],
        "factor": [[1.0, 0.0], [0.0, 1.0]],
    },
}
CONFIGS = {read_course: {"method": "cross-entropy", "environment": "CartPole-v1"}}
UNUSED = {pong: ("update", "agent_steps"), pong_curves: ("update", "episodes")}
NULL = {"mean_return": (pong, pong_curves), "baseline_fit": (glimpse,)}
"""What may be null, where."""


def write(folder, case, line):
    (folder / METRICS).write_text(json.dumps(line) + "\n")
    (folder / CONFIG).write_text(json.dumps(CONFIGS.get(case, {"recipe": "fast"})))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_figure_is_checked(case, tmp_path):
    write(tmp_path, case, CASES[case])
    case(tmp_path)
    for name in CASES[case]:
        if name in UNUSED.get(case, ()):
            continue
        for value in WRONG:
            if value is None and case in NULL.get(name, ()):
                continue
            write(tmp_path, case, {**CASES[case], name: value})
            with pytest.raises(RunError, match=rf"{METRICS}.*line 1.*{name}"):
                case(tmp_path)
        if name == "baseline_fit":
            continue  # not every network has one
        write(tmp_path, case, {n: v for n, v in CASES[case].items() if n != name})
        with pytest.raises(RunError, match=rf"{METRICS}, line 1, has no .*{name}"):
            case(tmp_path)


def test_a_gaussian_of_three_dimensions_is_none(tmp_path):
    write(tmp_path, gaussian, {**CASES[gaussian], "mean": [0.0, 1.0, 2.0]})
    with pytest.raises(RunError, match=r"line 1, has no mean of 2 numbers and factor of 2 × 2"):
        gaussian(tmp_path)


def test_a_column_is_of_one_kind():
    lines = [{"loss": 1}, {"loss": None}]
    assert column(lines, "loss", null=True) == [1, None]
    with pytest.raises(RunError, match="a line of metrics has loss = null, not a number: no train"):
        column(lines, "loss")
    with pytest.raises(RunError, match="has moves = 3, not a list of numbers"):
        column([{"moves": 3}], "moves", lists=True)
