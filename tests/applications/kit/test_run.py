import errno
import json
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from applications.kit.display import Display, duration, sparkline
from applications.kit.errors import RunError
from applications.kit.files import load_state, replacing, save_state
from applications.kit.options import Options
from applications.kit.run import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    Run,
    latest_folder,
    new_folder,
    read_config,
    read_metrics,
)
from applications.kit.signals import StopSignals


@dataclass(frozen=True)
class Config(Options):
    RESUMABLE: ClassVar = ("episodes",)

    game: str = "pong"
    episodes: int = 10


@dataclass(frozen=True)
class FixedConfig(Config):
    RESUMABLE: ClassVar = ()


@dataclass(frozen=True)
class OtherConfig(Options):
    game: str = "pong"
    glimpses: int = 6


def finish(folder, updates=3):
    with Run(folder, Config(), resume=False) as run:
        for update in range(1, updates + 1):
            run.log({"update": update, "loss": 1 / update})
            run.save({"update": update, "weight": torch.tensor([1.0 * update])})
    return folder


def test_state_comes_back_bit_by_bit(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model[0].tied = model[0].weight  # the same tensor twice
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "counters": {"update": 7, "returns": [1.5, -2.0], "name": None, "empty": []},
    }
    save_state(tmp_path / "x", state)
    drawn = torch.rand(3)
    loaded = load_state(tmp_path / "x")
    torch.set_rng_state(loaded["rng"])
    assert torch.equal(torch.rand(3), drawn)
    assert loaded["counters"] == state["counters"]
    other = torch.optim.Adam(model.parameters())
    other.load_state_dict(loaded["optimizer"])
    assert other.param_groups[0]["lr"] == 0.1
    for key, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(other.state_dict()["state"][key][name], value)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded["model"][name], value)
        assert loaded["model"][name].dtype == value.dtype


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "other"])
def test_damaged_checkpoint_is_refused_by_name(tmp_path, harm):
    folder = finish(tmp_path / "run")
    path = folder / CHECKPOINT
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[-1] ^= 1
    path.write_bytes({"cut": data[:-3], "emptied": b"", "other": b"x" * 99}.get(harm, data))
    with pytest.raises(RunError, match=rf"{CHECKPOINT} is damaged"):
        Run(folder, Config(), resume=True)


def test_write_failure_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save_state(path, {"a": torch.ones(2)})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"x could not be written \(.*No space left.*make room"):
        save_state(path, {"a": torch.zeros(2)})
    assert load_state(path)["a"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    with (
        pytest.raises(RunError, match="could not be written"),
        replacing(tmp_path / "no" / "y") as p,
    ):
        p.write_text("")


def log_to_a_full_disk(folder):
    with Run(folder, Config(), resume=False) as run:
        with open("/dev/full", "w") as full:
            os.dup2(full.fileno(), run._lines.fileno())
        run.log({"update": 1})


def test_a_full_disk_is_told_while_metrics_are_written(tmp_path):
    with pytest.raises(RunError, match=rf"{METRICS} could not be written \(No space left"):
        log_to_a_full_disk(tmp_path / "run")


def test_a_run_has_one_process(tmp_path):
    folder = finish(tmp_path / "run")
    with (
        Run(folder, Config(), resume=True),
        pytest.raises(RunError, match=f"another process is training in {folder}"),
    ):
        Run(folder, Config(), resume=True)
    with Run(folder, Config(), resume=True) as run:  # it is free again
        assert run.state["update"] == 3


def test_run_folder(tmp_path):
    folder = finish(tmp_path / "run")
    config = read_config(folder)
    assert {name: config[name] for name in ("game", "episodes")} == {"game": "pong", "episodes": 10}
    assert set(config["origin"]) == {"command", "commit", "torch"}
    assert read_metrics(folder / METRICS)[1] == {"update": 2, "loss": 0.5}
    assert list(folder.glob("events.out.tfevents.*"))


def test_resume_drops_what_the_checkpoint_does_not_know(tmp_path):
    folder = finish(tmp_path / "run")
    with open(folder / METRICS, "a") as file:
        file.write(json.dumps({"update": 4, "loss": 0.0}) + "\n" + '{"update": 5, "lo')
    assert len(read_metrics(folder / METRICS)) == 4
    with Run(folder, Config(episodes=99), resume=True) as run:
        assert run.state["update"] == 3
        assert run.state["weight"].item() == 3
        run.log({"update": 4, "loss": 0.25})
    assert [line["loss"] for line in read_metrics(folder / METRICS)] == [1, 0.5, 1 / 3, 0.25]
    assert read_config(folder)["episodes"] == 99


def test_refusals(tmp_path):
    folder = finish(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already: continue it by --resume, or"):
        Run(folder, Config(), resume=False)
    with pytest.raises(RunError, match="has game = pong, not breakout: resume it with its own"):
        Run(folder, Config(game="breakout"), resume=True)
    written = (folder / CONFIG).read_text()
    with pytest.raises(RunError, match="another application .* does not know its episodes$"):
        Run(folder, OtherConfig(), resume=True)
    assert (folder / CONFIG).read_text() == written
    with pytest.raises(RunError, match="has episodes = 10, not 11"):
        Run(folder, FixedConfig(episodes=11), resume=True)
    with pytest.raises(RunError, match="holds no checkpoint to continue from: leave out --resume"):
        Run(tmp_path, Config(), resume=True)
    with pytest.raises(RunError, match=f"holds no run: there is no .*{CONFIG}"):
        read_config(tmp_path)
    with pytest.raises(RunError, match=r"there is no .*nothing"):
        load_state(tmp_path / "nothing")
    (folder / CONFIG).write_text("{")
    with pytest.raises(RunError, match=f"{CONFIG} is damaged"):
        read_config(folder)
    (folder / METRICS).write_text('{"update": 1}\n{"upd\n{"update": 3}\n')
    with pytest.raises(RunError, match=f"{METRICS} is damaged in line 2"):
        read_metrics(folder / METRICS)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file holds no run"):
        read_config(tmp_path / "file")
    with pytest.raises(RunError, match="file/run cannot be written"):
        Run(tmp_path / "file" / "run", Config(), resume=False)


def test_folders_are_numbered(tmp_path):
    assert new_folder(tmp_path, "blog").name == "blog-1"
    with pytest.raises(RunError, match=r"there is no run in .* to continue"):
        latest_folder(tmp_path)
    finish(tmp_path / "blog-1")
    finish(tmp_path / "blog-9")
    os.utime(tmp_path / "blog-9" / CHECKPOINT, (0, 0))
    (tmp_path / "blog-old").mkdir()
    assert new_folder(tmp_path, "blog").name == "blog-10"
    assert latest_folder(tmp_path).name == "blog-1"
    assert latest_folder(tmp_path, game="pong").name == "blog-1"
    with pytest.raises(RunError, match="there is no run of the game breakout in"):
        latest_folder(tmp_path, game="breakout")


def test_signals_ask_once_and_interrupt_twice():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_display_prints_a_line_at_once_and_then_waits(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("applications.kit.display.time.monotonic", lambda: 0.0)
    with Display("a title") as display:
        for count in range(5):
            display.show(lambda count=count: {"count": str(count)})
        display.show(lambda: {"count": "last"}, now=True)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "a title"
    assert [line.split("] ")[1] for line in lines] == ["count 0", "count last"]


def test_sparkline_and_duration():
    assert sparkline([]) == ""
    assert sparkline([3.0]) == "▁"
    assert sparkline(list(range(8))) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(list(range(1000)))) == 32
    assert [duration(s) for s in (7.4, 200, 3900)] == ["7 s", "3 min 20 s", "1 h 05 min"]
