"""Training in several processes, as `torchrun` starts them; alone there is one rank of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


class Ranks:
    """What the processes of a training do together.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
        device: where this one learns: a GPU of its own where there are any.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", local % torch.cuda.device_count())

    def share(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over the ranks."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in their order."""
        values: list[T] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values


@contextmanager
def join() -> Iterator[Ranks]:
    """Meet the other processes, if there are any, and part from them at the end."""
    ranks = Ranks()
    if ranks.size > 1:
        dist.init_process_group("gloo")  # the gradients are small
    try:
        yield ranks
    finally:
        if ranks.size > 1:
            dist.destroy_process_group()
