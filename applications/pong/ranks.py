"""Training in several processes, as `torchrun` starts them; alone there is one rank of one."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, Run

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
T = TypeVar("T")


class Ranks:
    """What the processes of a training do together.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
        cores: of this machine, for each of its processes.
        device: where this one learns: on a GPU where there are any.
    """

    def __init__(self) -> None:
        self.rank, self.size = number("RANK", 0), number("WORLD_SIZE", 1)
        self.cores = max(1, CORES // number("LOCAL_WORLD_SIZE", 1))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", number("LOCAL_RANK", 0) % torch.cuda.device_count())

    def share(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over the ranks."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in their order.

        Args:
            value: of what JSON knows. It travels as JSON and not pickled, as torch's
                `all_gather_object` would do it: to unpickle is to run what others send.
        """
        if self.size == 1:
            return [value]
        content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = self._gather_tensor(torch.tensor([len(content)]))
        padded = F.pad(content, (0, int(max(lengths)) - len(content)))
        parts = zip(self._gather_tensor(padded), lengths, strict=True)
        return [json.loads(part[: int(length)].numpy().tobytes()) for part, length in parts]

    def _gather_tensor(self, tensor: Tensor) -> list[Tensor]:
        """Every rank's tensor, all of one shape."""
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(tensors, tensor)
        return tensors

    def open(self, run: Callable[[], Run], folder: Path, resume: bool) -> "Run | Onlooker":
        """The run for rank 0, and a look at it for the others."""
        return Onlooker(folder, resume) if self.rank else run()


class Onlooker:
    """Takes the place of a `Run` and of a `Display` in the other ranks: reads, and never writes."""

    def __init__(self, folder: Path, resume: bool):
        self.folder = folder
        self.state = load_state(folder / CHECKPOINT) if resume else None

    def __enter__(self) -> "Onlooker":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ignore(self, *_: object, **__: object) -> None:
        """Do nothing."""

    log = save = show = ignore


@contextmanager
def join() -> Iterator[Ranks]:
    """Meet the other processes, if there are any, and part from them at the end."""
    ranks = Ranks()
    if ranks.size > 1:
        dist.init_process_group("gloo")  # what travels is small
    try:
        yield ranks
        if ranks.size > 1:
            dist.barrier()  # nobody leaves while another still hears of it
    finally:
        if ranks.size > 1:
            dist.destroy_process_group()


def number(name: str, default: int) -> int:
    """A number that `torchrun` puts into the environment."""
    return int(os.environ.get(name, default))
