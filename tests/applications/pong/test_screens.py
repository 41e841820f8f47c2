"""What a policy refuses to see: screens that are not as the emulator shows them."""

from itertools import product

import ale_py
import gymnasium
import numpy as np
import pytest

from applications.pong.frames import PIXELS, View, any_view, coloured, pong_view
from applications.pong.games import Settings, make_emulators
from applications.pong.player import Player, load_policy
from applications.pong.policy import ActorCritic
from applications.pong.screens import SCREEN, check_screens

BACKGROUND = r"6,400 of the 6,400 pixels that the policy looks at are off Pong's background, and "


@pytest.fixture(scope="module", autouse=True)
def _games():
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)


@pytest.fixture(scope="module")
def policy():
    return load_policy("pong", greedy=True)


@pytest.fixture(scope="module")
def game():
    with gymnasium.make("ALE/Pong-v5") as environment:
        yield environment


@pytest.fixture
def screen(policy, game):
    """Of a game in play: the ball is seen, the field has its colour."""
    policy.reset()
    screen, _ = game.reset(seed=0)
    for _ in range(30):
        screen, *_ = game.step(policy(screen))
    return screen


# ---------------------------------------------------------------- of Pong


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_levels_of_another_type_are_refused(policy, screen, kind):
    message = f"the screen has type {np.dtype(kind)}: give the emulator's own levels, uint8 from 0"
    with pytest.raises(ValueError, match=message):
        policy(screen.astype(kind))
    with pytest.raises(ValueError, match=message):
        policy((screen / 255).astype(kind))


def test_colours_in_another_order_are_refused(policy, screen):
    with pytest.raises(ValueError, match=BACKGROUND + "in a game only a few dozen are: give gymna"):
        policy(screen[:, :, ::-1])


def test_grey_in_three_channels_is_refused(policy, game, screen):
    grey = game.unwrapped.ale.getScreenGrayscale()
    assert grey.shape == SCREEN[:2]
    with pytest.raises(ValueError, match=BACKGROUND):
        policy(np.stack([grey, grey, grey], -1))


def test_another_games_screen_is_refused(policy):
    with gymnasium.make("ALE/Breakout-v5") as game:
        screen, _ = game.reset(seed=0)
    with pytest.raises(ValueError, match="off Pong's background, .* and of no other game"):
        policy(screen)


@pytest.mark.parametrize("games", [1, 4])
def test_a_batch_of_screens_is_refused(policy, screen, games):
    message = rf"shape \[{games}, 210, 160, 3\], which is a batch or .* load one policy a game"
    with pytest.raises(ValueError, match=message):
        policy(np.stack([screen] * games))


@pytest.mark.parametrize("shape", [(210, 160), (210, 160, 1), (84, 84, 3), (3, 210, 160), ()])
def test_other_shapes_are_refused(policy, shape):
    with pytest.raises(ValueError, match=r"the screen has shape .*: give gymnasium's, \[210, 160"):
        policy(np.zeros(shape, np.uint8))


def test_a_refused_screen_leaves_no_trace(policy, game, screen):
    other = load_policy("pong", greedy=True)
    policy.reset()
    for step in range(20):
        if step % 5 == 0:
            with pytest.raises(ValueError, match=BACKGROUND):
                policy(screen[:, :, ::-1])
        action = policy(screen)
        assert action == other(screen)
        assert np.array_equal(policy.eyes.both, other.eyes.both)
        screen, *_ = game.step(action)


def test_no_mode_or_difficulty_comes_near_the_limit(policy):
    """Games in play and right after reset: 34 pixels at most, in many more screens than these."""
    view = coloured(pong_view())
    counts = []
    for mode, difficulty in product((0, 1), (0, 1, 2, 3)):
        with gymnasium.make("ALE/Pong-v5", mode=mode, difficulty=difficulty) as game:
            policy.reset()
            screen, _ = game.reset(seed=0)
            for _ in range(60):
                counts.append(view.foreground(screen[None, :, :, 0]).sum())
                screen, *_ = game.step(policy(screen))
    assert 20 < max(counts) <= 34
    assert 34 * 20 < view.limit == pong_view().limit == 1000 < PIXELS / 6


def test_the_limit_is_the_largest_number_that_is_played(policy):
    view = coloured(pong_view())
    screen = np.full(SCREEN, 144, np.uint8)
    seen = screen[view.rows, view.columns, 0]
    places = np.unravel_index(np.arange(view.limit + 1), seen.shape)
    seen[places] = 236
    with pytest.raises(ValueError, match="1,001 of the 6,400 pixels"):
        policy(screen)
    seen[0, 0] = 109  # the field before the first step
    policy.reset()
    assert policy(screen) in (0, 2, 3)


# ---------------------------------------------------------------- by the emulator's own grey


def test_the_emulators_grey_is_played_and_colours_are_not():
    player = Player(ActorCritic(hidden=1), {"game": "pong", "frames": "pair"})
    emulators = make_emulators(Settings("pong", 0.25), 3, player.view)
    screens, _ = emulators.reset(seed=0)
    player.begin(3)
    assert len(player.act(screens, np.ones(3, bool))) == 3
    screens[1] = 144
    with pytest.raises(ValueError, match=BACKGROUND):
        player.act(screens, np.zeros(3, bool))


def test_other_games_are_checked_by_type_range_and_shape():
    view: View = any_view()
    screens = np.random.default_rng(0).integers(256, size=(2, 1, 80, 80)).astype(np.uint8)
    check_screens(screens, view)
    check_screens(np.zeros_like(screens), view)  # some games begin in the dark
    with pytest.raises(ValueError, match="the screen has type float64"):
        check_screens(screens / 255, view)
    with pytest.raises(
        ValueError, match=r"have no level above 1: give .* from 0 to 255, not those"
    ):
        check_screens((screens / 255).round().astype(np.uint8), view)
    message = r"the screens have shape \[{}\]: give the emulator's, \[games, 1, 80, 80\]"
    with pytest.raises(ValueError, match=message.format("2, 80, 80")):
        check_screens(screens[:, 0], view)
    with pytest.raises(ValueError, match=message.format("2, 1, 40, 80")):
        check_screens(screens[:, :, ::2], view)
