"""Pong from pixels: a policy gradient on the real emulator, in minutes or as in Karpathy's post.

    python -m applications.pong train        # live; Ctrl-C stops, --resume continues
    python -m applications.pong evaluate     # mean return ± standard error
    python -m applications.pong watch        # a game as MP4 or GIF, or --live
    python -m applications.pong plot         # the learning curve and W1
    python -m applications.pong curves DIR … # the learning curves of several runs
    python -m applications.pong study NAME   # trainings that differ in one option

    from applications.pong import load_policy  # the trained policy, for a gymnasium loop of yours

Source: Karpathy (2016), Deep Reinforcement Learning: Pong from Pixels. There are three recipes.

`fast`, the default
-------------------
Still a policy gradient on pixels through two layers, with what has been learned since: advantages
against a learned baseline (Schulman et al. 2016), a clipped ratio of probabilities that lets each
step be learned from ten times (Schulman et al. 2017), and emulators that play the next roll-out
while the network learns from the last one. The policy of a roll-out is therefore one update older
than the network when it begins to learn from it; the ratio accounts for that. What the network sees
is two frames, now and one step ago, as lists of the pixels that are not background. A first stage
has no sticky actions; a second one has them, as `ALE/Pong-v5` has.

`blog`
------
It keeps the settings of Karpathy's post: 80×80 difference frames, two layers with 200 hidden units
and no biases, UP or DOWN from one Bernoulli draw, discount 0.99 with the sum restarting after each
point, returns standardised per episode, RMSProp (1e-4, decay 0.99), the gradient summed over a
batch of 10 episodes. Frame skip is 4, and the emulator repeats the last action with probability
0.25 (`--sticky`), as the post's Pong-v0 did: the settings of `ALE/Pong-v5`.

What playing many games at once changes there: the post plays one game after the other and updates
after every tenth. Here 16 games are played at the same time.

* The first ten episodes to finish make a batch; whatever finishes after them starts the next one.
  Every finished episode is learned from exactly once, long ones too. Only at the very start does
  this favour short episodes.
* Games in progress during an update continue under the new parameters. So an episode is played
  under two to four successive policies, where the post has one, and a move was drawn under
  parameters that are up to three updates old when it is learned from.
* All moves of a batch are scored again, at the present parameters, when the batch is complete
  (`StochasticGraph(draws=...)`), without importance ratios. In the post the two coincide; here the
  estimate is off by as much as the policy changed in those few updates of 800.

A resumed run starts new games: the episodes in progress when it stopped belong to the
unfinished update.

Memory: a step is kept as the list of its changed pixels, some hundred bytes. The emulator ends an
episode after 27,000 agent steps, so 16 games in progress and a batch hold at most 26 · 27,000
steps: 100 MB in Pong. In a game where every pixel changed at every step, a step would take 26 kB.

`cross-entropy`
---------------
Guess and check, which the post would try first: no gradient, and a policy of 41 numbers.

Other games (`--game`)
----------------------
The whole screen at 80×80, one move per action of the game's minimal set, and credit that runs to
the episode's end. `blog` sees grey differences in [−1, 1]. `fast` sees what is not as it mostly is:
a pixel's usual grey is its median over the beginnings of games played at random.
"""

from applications.pong.player import load_policy

__all__ = ["load_policy"]
