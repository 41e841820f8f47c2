"""Pictures: the learning curve, what the hidden units look for, and a game as a film."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import torch
from matplotlib.figure import Figure

from applications.kit.errors import RunError
from applications.kit.figures import BLUE, LIGHT, save, styled, writing
from applications.kit.files import replacing
from applications.kit.options import Count, Seed
from applications.kit.records import METRICS, column, read_metrics
from applications.kit.signals import StopSignals
from applications.kit.sources import Picture, Source, run_of
from applications.pong import weights
from applications.pong.config import RecipeName
from applications.pong.frames import SIDE, pong_view
from applications.pong.games import Settings, make_emulators
from applications.pong.player import Game, Player
from applications.pong.policy import ActorCritic, Policy
from applications.pong.window import FRAMES_PER_SECOND, Window

UNITS = 40
"""Hidden units shown, as in Karpathy's post."""
FILM = Path("pong.mp4")
"""Default file of a recorded game."""
ENLARGED = 2
"""Screen pixels per pixel of the emulator's, in a film."""


@dataclass(frozen=True, kw_only=True)
class Plot(Picture):
    """Options of `plot`."""

    recipe: RecipeName = "fast"
    """Recipe of the shipped policy."""


@dataclass(frozen=True, kw_only=True)
class Watch(Source):
    """Options of `watch`."""

    recipe: RecipeName = "fast"
    """Recipe of the shipped policy."""
    live: bool = False
    """Show the game in a window and write no film."""
    output: Path | None = None
    """File of the film, MP4 or GIF (default: pong.mp4)."""
    seed: Seed = 0
    """Seed of the game."""
    greedy: bool = False
    """Play the likeliest move instead of a draw."""
    steps: Count | None = None
    """Stop after this many agent steps (default: at the end of the game)."""


def plot(options: Plot) -> None:
    """Draw W1 and, if it was recorded, the learning curve; of a run, or of what is shipped."""
    run = run_of(options, weights.RUNS)
    policy, config = weights.load(run, options.recipe)
    folder = options.output or run or Path("pictures")
    shipped = weights.metrics_of(weights.shipped(options.recipe))
    recorded = run / METRICS if run else shipped
    whose = f"{run}" if run else f"shipped: {shipped.name.partition('.')[0]}"
    figures = {"w1": plot_units(policy)} if hasattr(policy, "w1") else {}
    if metrics := read_metrics(recorded):
        figures["learning-curve"] = plot_curve(
            metrics, f"{config['recipe']} recipe, {config['game']}, sticky {config['sticky']:g}"
        )
    for name, figure in figures.items():
        save(figure, folder / f"{name}.{options.format}", whose)


def plot_curve(metrics: list[dict[str, Any]], title: str) -> Figure:
    """Every episode's return and the mean of the last 50, against episodes and against time."""
    seconds = column(metrics, "seconds")
    unit, unit_name = (3600, "hours") if seconds[-1] >= 7200 else (60, "minutes")
    times = [second / unit for second in seconds]
    episodes, returns = column(metrics, "episodes"), column(metrics, "returns", lists=True)
    means = np.array(column(metrics, "mean_return", null=True), float)  # None, at first, to nan
    panels = {"episodes": episodes, f"{unit_name} of training": times}
    with styled(10, 3.6, f"Pong from pixels: {title}") as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, (name, x) in zip((left, right), panels.items(), strict=True):
            dots = [(at, points) for at, ended in zip(x, returns, strict=True) for points in ended]
            axes.plot(*np.reshape(dots, (-1, 2)).T, ".", color=LIGHT, ms=1.5, label="an episode")
            axes.plot(x, means, color=BLUE, label="mean of the last 50")
            axes.set_xlabel(name)
            axes.grid(axis="y")
        left.set_ylabel("return, points")
        left.legend(markerscale=4)
    return figure


def plot_units(policy: Policy | ActorCritic) -> Figure:
    """The rows of W1 of the 40 hidden units that weigh most, as 80×80 images.

    White is positive, black negative, each image scaled by its own largest weight. Of a network
    that sees two frames, the present one's weights are on the left, the last one's on the right.
    """
    w1, w2 = policy.w1.detach(), policy.out.detach()
    weight = w1.norm(dim=0) * w2.norm(dim=0)
    units = weight.argsort(descending=True)[:UNITS].sort().values
    images = torch.cat(tuple(w1.T.unflatten(1, (-1, SIDE, SIDE)).unbind(1)), 2).numpy()
    columns = 8 * SIDE // images.shape[2]
    rows = -(-len(units) // columns)
    heading = f"W1: {len(units)} of {w1.shape[1]} hidden units (white +, black −)"
    with styled(10, 1.3 * rows, heading) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, unit in zip(grid.flat, units.tolist(), strict=False):
            most = np.abs(images[unit]).max()
            axes.imshow(images[unit], cmap="gray", vmin=-most, vmax=most)
            axes.set_title(f"{unit}", fontsize=7, pad=2)
    return figure


def watch(options: Watch) -> None:
    """Record a game or, with `--live`, show it; Ctrl-C ends it.

    Raises:
        RunError: the file's ending is neither .mp4 nor .gif, or a file is named for a live game.
    """
    path = options.output or FILM
    if options.live and options.output:
        raise RunError("--live shows the game and writes no film: leave out --output")
    if path.suffix.lower() not in (".mp4", ".gif"):
        raise RunError(f"{path} ends in neither .mp4 nor .gif: name the file so")
    policy, config = weights.load(run_of(options, weights.RUNS), options.recipe)
    torch.manual_seed(options.seed)
    settings = Settings(config["game"], config["sticky"])
    game = Game(Player(policy, config, options.greedy), settings, options.seed)
    with StopSignals() as stop:
        moves = takewhile(lambda _: not stop.requested, game.moves(options.steps))
        if options.live:
            show(game, moves)
        else:
            with writing(path):
                film(game, moves, path)
    print(f"{config['game']}: {game.steps} agent steps, return {game.score:+g}")


def show(game: Game, moves: Iterable[int]) -> None:
    """Show a game in a window, until that is closed or the moves end."""
    with Window(game.settings, game.seed) as window:
        all(map(window.show, moves))


def film(game: Game, moves: Iterable[int], path: Path) -> None:
    """Record a game, in colour, as the file's ending says.

    Two emulators play the same game by the same seed and moves: one shows the policy its grey
    screens, the other the film its colours.

    Args:
        game: which one.
        moves: of the game, from its first on.
        path: of the film; it is there as a whole or not at all.
    """
    emulator = make_emulators(game.settings, 1, pong_view(), grey=False)
    colours, _ = emulator.reset(seed=game.seed)
    rate = FRAMES_PER_SECOND / game.settings.frame_skip
    with replacing(path) as part, open_film(part, path.suffix.lower(), rate) as frames:
        for move in moves:
            frames.append_data(colours[0, 0].repeat(ENLARGED, 0).repeat(ENLARGED, 1))
            colours = emulator.step(np.array([move]))[0]


def open_film(path: Path, kind: str, rate: float) -> Any:
    """A writer of frames `[H, W, 3]` uint8 at `rate` per second, as a `.gif` or an `.mp4`."""
    if kind == ".gif":
        return imageio.get_writer(path, kind, "I", duration=1000 / rate, loop=0)
    return imageio.get_writer(
        path,
        kind,
        "I",
        fps=rate,
        macro_block_size=ENLARGED,
        quality=8,
        output_params=["-f", kind[1:]],  # the path may end otherwise
    )
