"""The loop of every training, on a trainer that does next to nothing."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from applications.kit import loop, trainer
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.options import Count, Limit, Training
from applications.kit.progress import figures
from applications.kit.run import CHECKPOINT, METRICS, Run, read_metrics


@dataclass(frozen=True)
class Config(Training):
    RESUMABLE: ClassVar = (*Training.RESUMABLE, "updates")

    updates: Count = 6

    def limits(self) -> list[Limit]:
        return [Limit("updates", lambda state: state["update"], self.updates), *super().limits()]


class Trainer(trainer.Trainer):
    """Adds 1 to a weight; every other update has a line of metrics."""

    def __init__(self, config, stop_at=None, broken_at=None, fails=False):
        super().__init__(config, trainer.Tally(), "Counting")
        self.model = torch.nn.Linear(1, 1)
        torch.nn.init.zeros_(self.model.weight)
        self.parts = {"model": self.model}
        self.stop_at, self.broken_at, self.fails, self.closed = stop_at, broken_at, fails, False

    def __iter__(self) -> Iterator[trainer.Line | None]:
        try:
            while True:
                self.update()
                yield (
                    None if self.tally.update % 2 else {"update": self.tally.update, **self.figures}
                )
        finally:
            self.closed = True

    def update(self):
        with torch.no_grad():
            self.model.weight += 1
            if self.tally.update + 1 == self.broken_at:
                self.model.weight.fill_(torch.nan)
        if self.fails and self.model.weight.isnan().any():
            torch.multinomial(self.model.weight.expand(1, 3), 1)
        self.tally.update += 1
        self.tick()
        self.figures = {"seconds": self.tally.seconds, "weight": self.model.weight.item()}
        if self.tally.update == self.stop_at:
            signal.raise_signal(signal.SIGINT)

    def columns(self):
        return {"weight": f"{self.model.weight.item():g}"}


def train(folder, trainer, resume=False):
    with Run(folder, trainer.config, resume) as run:
        return loop.train(trainer, run)


def updates(folder):
    return [line["update"] for line in read_metrics(folder / METRICS)]


def test_a_limit_ends_a_training_and_update_0_is_saved_first(tmp_path, monkeypatch):
    saved, save = [], Run.save
    monkeypatch.setattr(
        Run, "save", lambda run, state: saved.append(state["update"]) or save(run, state)
    )
    counting = Trainer(Config())
    assert train(tmp_path, counting)
    assert saved == [0, 2, 4, 6, 6]
    assert updates(tmp_path) == [2, 4, 6]
    assert counting.closed


def test_a_signal_stops_it_between_two_lines_and_it_goes_on(tmp_path):
    assert not train(tmp_path, Trainer(Config(), stop_at=3))
    assert load_state(tmp_path / CHECKPOINT)["model"]["weight"].item() == 3
    assert updates(tmp_path) == [2]
    assert train(tmp_path, Trainer(Config(updates=8)), resume=True)
    assert updates(tmp_path) == [2, 4, 6, 8]
    assert load_state(tmp_path / CHECKPOINT)["model"]["weight"].item() == 8


def test_no_time_is_a_limit(tmp_path):
    assert train(tmp_path, Trainer(Config(seconds=0.0)))
    assert load_state(tmp_path / CHECKPOINT)["update"] == 0


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("broken_at", [3, 4])
def test_a_training_that_diverges_is_told_and_the_last_good_checkpoint_kept(
    tmp_path, fails, broken_at
):
    update = {(True, 3): 2, (True, 4): 3}.get((fails, broken_at), 4)
    told = rf"diverged in update {update} \(.*\): lower --learning-rate and start another folder"
    with pytest.raises(RunError, match=told):
        train(tmp_path, Trainer(Config(), broken_at=broken_at, fails=fails))
    assert load_state(tmp_path / CHECKPOINT)["model"]["weight"].item() == 2
    assert updates(tmp_path) == [2]  # no NaN among the metrics


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "update", lambda self: [].pop(0) or int("x"))
    with pytest.raises(IndexError):
        train(tmp_path / "a", Trainer(Config()))
    monkeypatch.setattr(Trainer, "update", lambda self: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        train(tmp_path / "b", Trainer(Config()))


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


def test_the_display_tells_targets_and_a_rate_without_the_start(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(trainer, "time", clock)
    counting = Trainer(Config(updates=12, seconds=600.0))
    shown = figures(counting)
    assert shown == {"updates": "0 of 12", "time": "0 s of 10 min 00 s", "weight": "0"}
    items = iter(counting)
    clock.now = 50.0  # it takes long to begin
    next(items)
    counting.mark()
    for _ in range(4):
        clock.now += 2.0
        next(items)
    shown = figures(counting)
    assert shown["updates"] == "5 of 12"
    assert shown["speed"] == "0.5 updates/s"
    assert shown["time"] == "58 s of 10 min 00 s, 14 s left"  # seven updates, not 542 seconds


def test_something_is_shown_before_the_first_update(tmp_path, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    train(tmp_path, Trainer(Config()))
    title, first, last = capsys.readouterr().out.splitlines()
    assert title == f"Counting · {tmp_path}"
    assert "updates 0 of 6" in first
    assert "updates 6 of 6" in last


def test_a_checkpoint_of_another_config_is_refused_by_name(tmp_path):
    train(tmp_path, Trainer(Config(), stop_at=1))
    trainer = Trainer(Config())
    trainer.model = trainer.parts["model"] = torch.nn.Linear(5, 5)
    message = rf"^{tmp_path / CHECKPOINT} does not fit config.json beside it \(size mismatch for"
    with pytest.raises(RunError, match=message):
        train(tmp_path, trainer, resume=True)
