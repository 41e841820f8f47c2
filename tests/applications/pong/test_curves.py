"""Learning curves of several runs."""

import json

import imageio.v2 as imageio
import numpy as np

from applications.kit.run import CONFIG, METRICS
from applications.pong import curves
from applications.pong.__main__ import main

STEPS = np.arange(1, 51) * 1000


def write(folder, returns, **config):
    folder.mkdir()
    config = {"recipe": "fast", "game": "pong", "seed": 0, **config}
    (folder / CONFIG).write_text(json.dumps(config))
    lines = [
        {"update": k, "agent_steps": int(steps), "seconds": steps / 100, "mean_return": value}
        for k, (steps, value) in enumerate(zip(STEPS, returns, strict=True), 1)
    ]
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_runs_are_named_by_what_differs():
    configs = [
        {"recipe": "fast", "clip": 0.2, "seed": 0, "hidden": 128},
        {"recipe": "fast", "clip": 0.2, "seed": 1, "hidden": 128},
        {"recipe": "fast", "clip": 0.1, "seed": 0, "hidden": 128},
    ]
    assert curves.names(configs) == ["clip 0.2", "clip 0.2", "clip 0.1"]
    assert curves.names(configs[:2]) == ["fast", "fast"]


def test_curves_of_a_group_stand_at_the_same_places():
    def run(shift, length):
        lines = [{"agent_steps": 10 * k, "mean_return": k + shift} for k in range(1, length)]
        return [{"agent_steps": 1, "mean_return": None}, *lines]

    x, values = curves.together([run(0.0, 11), run(3.0, 8)], "agent_steps")
    assert (x[0], x[-1]) == (10, 70)  # where both are known
    np.testing.assert_allclose(values, [x / 10, x / 10 + 3])


def test_a_picture_has_a_line_for_each_group(tmp_path, capsys):
    rising = np.linspace(-21, 20, len(STEPS))
    runs = [
        write(tmp_path / "a", rising),
        write(tmp_path / "b", rising - 2, seed=1),
        write(tmp_path / "c", rising / 2, clip_range=0.1),
    ]
    output = tmp_path / "new" / "curves.png"
    assert main(["curves", *map(str, runs), "--output", str(output)]) == 0
    assert str(output) in capsys.readouterr().out
    assert imageio.imread(output).std() > 5
    groups = {"a": [[{"agent_steps": 1, "seconds": 1, "mean_return": r}] * 2 for r in (1.0, 3.0)]}
    left, _ = curves.draw(groups).axes
    assert set(left.lines[0].get_ydata()) == {2.0}


def test_a_run_without_an_episode_is_refused(tmp_path, capsys):
    folder = write(tmp_path / "a", [None] * len(STEPS))
    assert main(["curves", str(folder), "--output", str(tmp_path / "x.png")]) == 2
    assert "has not finished an episode yet" in capsys.readouterr().err
    assert main(["curves", str(tmp_path / "none")]) == 2
    assert "holds no run" in capsys.readouterr().err


def course(steps, sticky):
    """A run that repeats actions after so many steps; None: never."""
    return [
        {
            "agent_steps": int(at),
            "seconds": at / 100,
            "mean_return": at / 1e4,
            "sticky": 0.25 if sticky is not None and at > sticky else 0.0,
        }
        for at in steps
    ]


def test_the_beginning_of_sticky_actions_is_marked():
    runs = [course(STEPS, 20_000), course(STEPS, 22_000), course(STEPS, 24_000)]
    assert curves.sticky_from({"fast": runs}, "agent_steps") == 22_000
    assert curves.sticky_from({"fast": runs}, "seconds") == 220
    for axes, begun in zip(curves.draw({"fast": runs}).axes, (0.022, 220 / 60), strict=True):
        assert [text.get_text() for text in axes.texts] == ["sticky actions →"]
        assert axes.lines[-1].get_xdata()[0] == begun
    for unmarked in ([course(STEPS, None)], [course(STEPS, 0)], [*runs, course(STEPS, None)]):
        assert curves.sticky_from({"fast": unmarked}, "agent_steps") is None


def test_many_curves_have_a_panel_each():
    groups = {f"variant {k}": [course(STEPS * (1 + k), None)] for k in range(7)}
    figure = curves.draw(groups)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == list(groups)
    behind, own = panels[3].lines
    np.testing.assert_allclose(behind.get_xydata(), panels[0].lines[1].get_xydata())
    assert own.get_xdata()[-1] == 4 * 0.05
    assert "grey: variant 0" in figure.get_suptitle()
