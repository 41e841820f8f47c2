"""The text's network: 6400 pixels, 200 hidden units, one number; no biases."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Distribution

from applications.pong.frames import PIXELS, Frames


class Policy(nn.Module):
    """Two layers: `logits = W2 · relu(W1 · frame)`.

    Two moves share one logit, that of the first (UP in Pong), and are drawn from a Bernoulli;
    more moves have a logit each and are drawn from a categorical.
    """

    def __init__(self, moves: int = 2, hidden: int = 200):
        super().__init__()
        self.moves = moves
        outputs = 1 if moves == 2 else moves
        # W1 is kept transposed, [6400, 200]: the listed pixels of a frame look up its rows
        self.w1 = nn.Parameter(torch.randn(PIXELS, hidden) / PIXELS**0.5)
        self.w2 = nn.Parameter(torch.randn(hidden, outputs) / hidden**0.5)

    def forward(self, frames: Frames) -> Distribution:
        """The next moves, `[R]`: 1 for UP and 0 for DOWN, or the index of one of several."""
        values = frames.values.to(self.w1.dtype)
        hidden = F.embedding_bag(
            frames.pixels, self.w1, frames.starts, mode="sum", per_sample_weights=values
        )
        logits = hidden.relu() @ self.w2
        if self.moves == 2:
            return Bernoulli(logits=logits.squeeze(1), validate_args=False)
        return Categorical(logits=logits, validate_args=False)
