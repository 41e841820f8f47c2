import os
from functools import partial

import ale_py
import gymnasium
import numpy as np
import pytest
import torch

from applications.kit.errors import RunError
from applications.pong.frames import (
    PIXELS,
    Differences,
    Frames,
    Pairs,
    any_view,
    chosen,
    coloured,
    pong_view,
    shuffled,
)
from applications.pong.games import (
    EMULATOR_BYTES,
    Settings,
    environment_settings,
    find_game,
    make_emulators,
    view_and_actions,
)
from applications.pong.policy import Policy
from applications.pong.rollout import groups
from tests.applications.pong.lights import Lights

STEPS = 300


@pytest.fixture(scope="module")
def screens():
    """The same game twice, without chance: gymnasium's colours and our vectorised greys."""
    gymnasium.register_envs(ale_py)
    coloured = gymnasium.make("ALE/Pong-v5", repeat_action_probability=0.0)
    grey = make_emulators(Settings("pong", sticky=0.0), 1, pong_view())
    colours, greys = [coloured.reset(seed=1)[0]], [grey.reset(seed=1)[0][0, 0]]
    rewards = []
    for action in np.random.default_rng(0).integers(2, 4, STEPS):
        screen, reward, *_ = coloured.step(action)
        colours.append(screen)
        screen, same, *_ = grey.step(np.array([action]))
        greys.append(screen[0, 0])
        rewards.append((reward, same[0]))
    assert all(reward == same for reward, same in rewards)
    assert any(reward for reward, _ in rewards)
    return np.stack(colours), np.stack(greys)


def by_the_text(screen):
    """The text's rule on the red channel, `[210, 160, 3]` to `[80, 80]`."""
    red = screen[35:195:2, ::2, 0].astype(float)
    red[(red == 144) | (red == 109)] = 0
    red[red != 0] = 1
    return red


def test_grey_rule_is_the_red_rule_on_real_screens(screens):
    view = pong_view()
    for colour, grey in zip(*screens, strict=True):
        levels = view.levels[grey[view.rows, view.columns]]
        np.testing.assert_array_equal(levels, by_the_text(colour))


def test_differences_are_those_of_the_text(screens):
    differences = Differences(pong_view(), 1)
    last = None
    for index, (colour, grey) in enumerate(zip(*screens, strict=True)):
        first = index in (0, 100)  # as if a new episode began at the hundredth
        listed = differences(grey[None], np.array([first]))
        now = by_the_text(colour)
        wanted = np.zeros_like(now) if first else now - last
        np.testing.assert_array_equal(Frames.of(*listed, 1.0).dense(), wanted.reshape(1, PIXELS))
        last = now


def test_pairs_are_the_present_and_the_last_frame_of_the_text(screens):
    pairs = Pairs(pong_view(), 1)
    last, moved = None, 0
    for index, (colour, grey) in enumerate(zip(*screens, strict=True)):
        first = index in (0, 100)
        frames = Frames.of(*pairs(grey[None], np.array([first])), 1.0)
        now = by_the_text(colour)
        before = now if first else last
        np.testing.assert_array_equal(frames.dense(Pairs.size)[0].view(2, 80, 80), [now, before])
        moved += (now != before).any()
        last = now
    assert moved > STEPS / 2


@pytest.mark.parametrize("sight", [Differences, Pairs])
def test_coloured_screens_are_seen_as_the_grey_ones_are(screens, sight):
    red, grey = sight(coloured(pong_view()), 1), sight(pong_view(), 1)
    listed = 0
    for index, (colour, screen) in enumerate(zip(*screens, strict=True)):
        first = np.array([index in (0, 100)])
        got, wanted = red(colour[None, :, :, 0], first), grey(screen[None], first)
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        listed += len(wanted[0])
    assert listed > 10 * STEPS


@pytest.mark.parametrize("sight", [Differences, Pairs])
def test_games_are_kept_apart(screens, sight):
    _, greys = screens
    together, apart = sight(pong_view(), 2), [sight(pong_view(), 1) for _ in range(2)]
    for index, (a, b) in enumerate(zip(greys[:-7:20], greys[7::20], strict=True)):
        first = np.array([index == 0, index in (0, 5)])  # another episode for the second game
        both = Frames.of(*together(np.stack([a, b]), first), 1.0).dense(sight.size)
        for row, one, screen, begins in zip(both, apart, (a, b), first, strict=True):
            single = Frames.of(*one(screen[None], begins[None]), 1.0).dense(sight.size)
            assert torch.equal(row, single[0])


@pytest.mark.parametrize("sight", [Differences, Pairs])
def test_shuffled_pixels_are_the_same_in_another_order(screens, sight):
    view = shuffled(pong_view())
    assert sorted(view.order) == list(range(PIXELS))
    assert (view.order != np.arange(PIXELS)).mean() > 0.99
    plain, other = sight(pong_view(), 1), sight(view, 1)
    for index, screen in enumerate(screens[1][:50]):
        first = np.array([index == 0])
        frames, same = (Frames.of(*eyes(screen[None], first), 1.0) for eyes in (plain, other))
        frames, same = (f.dense(sight.size).view(-1, PIXELS) for f in (frames, same))
        assert torch.equal(same[:, view.order], frames)
    assert frames.any()


ROWS = [3, 0, 0, 4, 1, 3], [], [2], [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("levels", [np.array([5, -2, 7, 1, 255, 3], np.int16), None])
def test_chosen_frames_are_those_of_the_dense_batch(rows, levels):
    pixels, counts = np.array([8, 1, 3, 3, 0, 9], np.int16), np.array([2, 0, 1, 3, 0])
    rows = np.array(rows, np.int64)
    dense = Frames.of(pixels, levels, counts, 0.5).dense(10)
    got = chosen((pixels, levels, counts), rows)
    np.testing.assert_array_equal(got[2], counts[rows])
    assert torch.equal(Frames.of(*got, 0.5).dense(10), dense[rows])


def test_other_games_see_grey_differences():
    view, actions = view_and_actions("breakout")
    emulators = make_emulators(Settings("breakout", 0.0), 1, view)
    differences = Differences(view, 1)
    before = emulators.reset(seed=0)[0]
    assert len(differences(before[:, 0], np.ones(1, bool))[0]) == 0
    for action in (1, 2, 3, 2):  # FIRE, then moves
        after = emulators.step(actions[[action]])[0]
        frames = Frames.of(*differences(after[:, 0], np.zeros(1, bool)), view.scale)
        wanted = (after.astype(float) - before).reshape(1, -1) / 255
        np.testing.assert_allclose(frames.dense(), wanted, atol=1e-7)
        assert wanted.any()
        before = after
    assert after.shape == (1, 1, 80, 80)
    assert any_view().scale == 1 / 255


def test_other_games_are_seen_without_what_is_always_there():
    view, actions = view_and_actions("breakout")
    assert np.array_equal(view.background[0], view_and_actions("breakout")[0].background[0])
    assert len(actions) == 4
    pairs, emulators = Pairs(view, 2), make_emulators(Settings("breakout", 0.0), 2, view)
    screens, first = emulators.reset(seed=1)[0], np.ones(2, bool)
    for action in (0, 1, 2, 2):
        before, screens = screens, emulators.step(np.full(2, action))[0]
        pairs(before[:, 0], first)
        frames = Frames.of(*pairs(screens[:, 0], np.zeros(2, bool)), 1.0).dense(Pairs.size)
        both = np.concatenate([screens, before], 1) != view.background[0]
        np.testing.assert_array_equal(frames, both.reshape(2, -1))
    bricks = slice(22, 36), slice(8, 72)
    assert view.background[0][bricks].min() > 0  # they are there, and so are not seen
    assert not both[:, 0][:, *bricks].any()
    assert 5 < both[:, 0].sum() < 300


@pytest.mark.parametrize("moves", [2, 6])
def test_listed_pixels_give_what_a_dense_product_gives(screens, moves):
    torch.manual_seed(0)
    _, greys = screens
    differences = Differences(pong_view(), len(greys) // 2)
    differences(greys[:150], np.ones(150, bool))
    frames = Frames.of(*differences(greys[150:300], np.zeros(150, bool)), 1.0)
    policy = Policy(moves).double()
    dense = (frames.dense().double() @ policy.w1).relu() @ policy.w2
    if moves > 2:  # a categorical's logits are normalised
        dense = dense.log_softmax(-1)
    logits = policy(frames).logits.reshape(dense.shape)
    torch.testing.assert_close(logits, dense)
    weight, weights = torch.randn_like(dense), [policy.w1, policy.w2]
    wanted = torch.autograd.grad((dense * weight).sum(), weights)
    for got, want in zip(
        torch.autograd.grad((logits * weight).sum(), weights), wanted, strict=True
    ):
        torch.testing.assert_close(got, want)
        assert want.abs().max() > 0.1


def test_a_frame_without_change_is_a_row_of_zeros():
    frames = Frames.of(np.array([], np.int16), np.array([], np.int16), np.zeros(3, int), 1.0)
    assert torch.equal(Policy()(frames).logits, torch.zeros(3))


def test_points_of_other_games_are_the_emulators_own():
    games = make_emulators(Settings("space_invaders", 0.0), 4, any_view())
    games.reset(seed=0)
    random = np.random.default_rng(0)
    rewards = [games.step(random.integers(6, size=4))[1] for _ in range(150)]
    assert np.max(rewards) > 1


def test_an_episode_is_cut_off_and_the_next_begins_at_once():
    games = make_emulators(Settings("pong", 0.0, max_frames=40), 1, pong_view())
    start, _ = games.reset(seed=0)
    for step in range(1, 21):
        screen, _, terminated, truncated, _ = games.step(np.array([2]))
        assert not terminated
        assert truncated == (step % 10 == 0)  # of four frames each
        assert np.array_equal(screen, start) == (step % 10 == 0)


def test_settings_come_from_the_registry():
    assert environment_settings("ALE/Pong-v5") == Settings("pong", 0.25, 4, 108_000)
    with pytest.raises(RunError, match="no environment 'ALE/Pnog-v5'"):
        environment_settings("ALE/Pnog-v5")
    with pytest.raises(RunError, match="CartPole-v1 is no Atari game with a fixed frame skip"):
        environment_settings("CartPole-v1")


def test_games_are_found_by_any_of_their_names():
    names = ["space_invaders", "SpaceInvaders", "ALE/SpaceInvaders-v5", "space-invaders"]
    assert {find_game(name) for name in names} == {"space_invaders"}
    with pytest.raises(RunError, match="no game 'pnog': did you mean pong"):
        find_game("pnog")
    with pytest.raises(RunError, match="no game 'xyzxyz': it has adventure"):
        find_game("xyzxyz")


def test_more_games_than_memory_are_refused():
    has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fit = has // EMULATOR_BYTES  # in one half, not in both
    with pytest.raises(RunError, match=f"{2 * fit:,} games need"):
        groups(Lights, 2 * fit, partial(Pairs, pong_view()), np.arange(2), 0)
    with pytest.raises(RunError, match=r"9,000,000 games need 18,000.0 GB of memory, and this m"):
        make_emulators(Settings("pong", 0.0), 9_000_000, pong_view())
