"""The networks: that of Karpathy's post, and those of the fast recipe, which have a critic."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributions import Bernoulli, Categorical, Distribution

from applications.pong.frames import PIXELS, SIDE, Frames

LISTED_PIXELS = 100
"""Typical number of pixels listed in a pair of frames: the fan-in of the first layer."""


def look_up(frames: Frames, w1: Tensor) -> Tensor:
    """The dense product `frames @ w1` of listed frames, `[R, hidden]`.

    Args:
        frames: R frames.
        w1: `[pixels, hidden]`.
    """
    if w1.device.type == "cpu":
        return LookUp.apply(w1, frames)
    return gathered(frames, w1)


def gathered(frames: Frames, w1: Tensor) -> Tensor:
    """`look_up` by operations that any device has and autograd differentiates as often as asked."""
    rows = w1.index_select(0, frames.pixels)
    if frames.values is not None:
        rows = rows * frames.values.to(rows.dtype).unsqueeze(1)
    return rows.new_zeros(len(frames.starts), rows.shape[1]).index_add(0, frames.rows(), rows)


def _bags(at: Tensor, table: Tensor, starts: Tensor, values: Tensor | None) -> Tensor:
    """Sums of the rows of a table: the rows `at`, times their values, a sum from each start on."""
    values = None if values is None else values.to(table.dtype)
    return F.embedding_bag(at, table, starts, mode="sum", per_sample_weights=values)


class LookUp(torch.autograd.Function):
    """`embedding_bag`, with a faster way back that can itself be differentiated."""

    @staticmethod
    def forward(ctx: FunctionCtx, w1: Tensor, frames: Frames) -> Tensor:
        """`[pixels, hidden]` → `[R, hidden]`."""
        ctx.frames, ctx.size = frames, len(w1)
        return _bags(frames.pixels, w1, frames.starts, frames.values)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        """`[R, hidden]` → `[pixels, hidden]`."""
        return Spread.apply(gradient, ctx.frames, ctx.size), None


class Spread(torch.autograd.Function):
    """The transpose of `LookUp`: a pixel gets the sum of what the frames have that list it.

    That is a look-up as well, with frames and pixels in each other's place, and sorting the list by
    pixels turns it around.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, frames: Frames, size: int) -> Tensor:
        """`[R, hidden]` → `[size, hidden]`."""
        ctx.frames = frames
        pixels = frames.pixels.numpy().astype(np.int16)  # short numbers are sorted faster
        order = np.argsort(pixels, kind="stable")
        starts = np.flatnonzero(np.diff(pixels[order], prepend=-1))
        order, starts = torch.from_numpy(order), torch.from_numpy(starts)
        values = None if frames.values is None else frames.values[order]
        sums = _bags(frames.rows()[order], rows.contiguous(), starts, values)
        whole = rows.new_zeros(size, rows.shape[1])
        return whole.index_copy_(0, frames.pixels[order[starts]], sums)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """`[size, hidden]` → `[R, hidden]`."""
        return LookUp.apply(gradient, ctx.frames), None, None


def choice(logits: Tensor, moves: int) -> Distribution:
    """Of the next moves, `[R]`: 1 for UP and 0 for DOWN, or the index of one of several.

    Two moves share one logit, that of the first (UP in Pong), and are drawn from a Bernoulli;
    more moves have a logit each and are drawn from a categorical.

    Args:
        logits: `[R, 1]` or `[R, moves]`.
        moves: how many there are to choose from.
    """
    if moves == 2:
        return Bernoulli(logits=logits.squeeze(1), validate_args=False)
    return Categorical(logits=logits, validate_args=False)


class Policy(nn.Module):
    """That of Karpathy's post: `logits = W2 · relu(W1 · frame)`, 6400 pixels, no biases.

    Args:
        moves: to choose from.
        hidden: units.
    """

    def __init__(self, moves: int = 2, hidden: int = 200):
        super().__init__()
        self.moves = moves
        # W1 is kept transposed, [6400, 200]: the listed pixels of a frame look up its rows
        self.w1 = nn.Parameter(torch.randn(PIXELS, hidden) / PIXELS**0.5)
        self.w2 = nn.Parameter(torch.randn(hidden, 1 if moves == 2 else moves) / hidden**0.5)

    def forward(self, frames: Frames) -> Distribution:
        """The next moves, `[R]`."""
        return choice(look_up(frames, self.w1).relu() @ self.w2, self.moves)

    choose = forward

    @property
    def out(self) -> Tensor:
        """The weights of the logits, `[1 or moves, hidden]`."""
        return self.w2.T


class Blocks(nn.Module):
    """One linear layer on coarse pixels: `logits = W · [1, sums over blocks of pixels]`.

    That is enough to follow a ball: its height less the paddle's is a weighted sum of lit blocks.

    Args:
        moves: to choose from.
        height: of a block, pixels.
        width: of a block, pixels.
        size: pixels that may be listed.
    """

    block: Tensor

    def __init__(self, moves: int = 2, height: int = 16, width: int = 20, size: int = 2 * PIXELS):
        super().__init__()
        self.moves = moves
        pixels = torch.arange(size)
        frame, row, column = pixels // PIXELS, pixels % PIXELS // SIDE, pixels % SIDE
        rows, columns = -(-SIDE // height), -(-SIDE // width)
        block = 1 + (frame * rows + row // height) * columns + column // width
        self.register_buffer("block", block, persistent=False)
        outputs = 1 if moves == 2 else moves
        self.weight = nn.Parameter(torch.zeros(outputs, 1 + size // PIXELS * rows * columns))

    def forward(self, frames: Frames, weights: Tensor | None = None) -> Distribution:
        """The next moves, `[R]`.

        Args:
            frames: R frames.
            weights: `[R, outputs, 1 + blocks]`, where each frame has weights of its own.
        """
        weights = self.weight if weights is None else weights
        return choice((weights @ self.sums(frames).unsqueeze(2)).squeeze(2), self.moves)

    choose = forward

    def sums(self, frames: Frames) -> Tensor:
        """1 and the sums over the blocks, `[R, 1 + blocks]`."""
        shape = len(frames.starts), self.weight.shape[1]
        values = torch.ones(len(frames.pixels)) if frames.values is None else frames.values
        sums = torch.zeros(shape).index_put_(
            (frames.rows(), self.block[frames.pixels]), values, accumulate=True
        )
        sums[:, 0] = 1
        return sums


class ActorCritic(nn.Module):
    """Chooses a move and judges the state: two heads on one layer of hidden units.

    Args:
        moves: to choose from.
        hidden: units.
        size: pixels that may be listed.
    """

    def __init__(self, moves: int = 2, hidden: int = 128, size: int = 2 * PIXELS):
        super().__init__()
        self.moves, self.size = moves, size
        self.w1 = nn.Parameter(torch.randn(size, hidden) / LISTED_PIXELS**0.5)
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.heads = heads(hidden, moves)

    def forward(self, frames: Frames) -> tuple[Distribution, Tensor]:
        """The next moves, `[R]`, and the return that is expected, `[R]`."""
        return self.judge((look_up(frames, self.w1) + self.b1).relu())

    def choose(self, frames: Frames) -> Distribution:
        """The next moves alone, `[R]`."""
        return self(frames)[0]

    @property
    def out(self) -> Tensor:
        """The weights of the logits, `[1 or moves, hidden]`."""
        return self.heads.weight[1:]

    def judge(self, hidden: Tensor) -> tuple[Distribution, Tensor]:
        """What follows from the hidden units, `[R, hidden]`."""
        out = self.heads(hidden)
        return choice(out[:, 1:], self.moves), out[:, 0]


class Apart(ActorCritic):
    """The same, but it judges by hidden units that the policy does not share.

    Args:
        moves: to choose from.
        hidden: units of either.
        size: pixels that may be listed.
    """

    def __init__(self, moves: int = 2, hidden: int = 128, size: int = 2 * PIXELS):
        super().__init__(moves, hidden, size)
        self.critic = ActorCritic(moves, hidden, size)

    def forward(self, frames: Frames) -> tuple[Distribution, Tensor]:
        """The next moves, `[R]`, and the return that is expected, `[R]`."""
        return super().forward(frames)[0], self.critic(frames)[1]

    def own(self) -> list[nn.Parameter]:
        """The parameters of the policy."""
        return [self.w1, self.b1, self.heads.weight, self.heads.bias]


class ConvActorCritic(ActorCritic):
    """The same behind two convolutions, on the frames written out.

    Args:
        moves: to choose from.
        hidden: units of the layer behind the convolutions.
        size: pixels that may be listed.
    """

    def __init__(self, moves: int = 2, hidden: int = 256, size: int = 2 * PIXELS):
        nn.Module.__init__(self)
        self.moves, self.size = moves, size
        self.layers = nn.Sequential(
            nn.Conv2d(size // PIXELS, 16, 8, 4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, hidden),
            nn.ReLU(),
        )
        self.heads = heads(hidden, moves)

    def forward(self, frames: Frames) -> tuple[Distribution, Tensor]:
        """The next moves, `[R]`, and the return that is expected, `[R]`."""
        images = frames.dense(self.size).view(-1, self.size // PIXELS, SIDE, SIDE)
        return self.judge(self.layers(images))


def heads(hidden: int, moves: int) -> nn.Linear:
    """The value and the logits of hidden units: at first nearly 0, so that all moves are likely."""
    layer = nn.Linear(hidden, 1 + (1 if moves == 2 else moves))
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


NETWORKS = {"dense": ActorCritic, "apart": Apart, "conv": ConvActorCritic}
