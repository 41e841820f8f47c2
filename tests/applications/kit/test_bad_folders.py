"""Run folders, damaged in every way: each is refused by name or resumes as the same run."""

import json
import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, fields
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file

from applications.kit import run as kit
from applications.kit.errors import RunError
from applications.kit.files import _checksum, load_state, save_state
from applications.kit.options import Options
from applications.kit.run import CHECKPOINT, CONFIG, METRICS, Run, read_config, read_metrics

FILES = (CONFIG, METRICS, CHECKPOINT)
LIMITS = ("updates", "seconds")
WRONG = (None, True, 7, -1, 0.5, 1e999, "x", [], ["copy"], {}, {"task": 7})
DEEP = 100_000


@dataclass(frozen=True)
class Config(Options):
    RESUMABLE: ClassVar = LIMITS

    task: str = "copy"
    units: int = 3
    rate: float = 0.5
    strict: bool = True
    network: str | None = None
    updates: int = 10
    seconds: float | None = 60.0


def weights(config):
    return torch.arange(float(config.units)) * config.rate


def train(folder, config):
    with Run(folder, config, False) as run:
        for update in range(1, 5):
            run.log({"update": update, "loss": 1 / update, "note": None, "moves": [update, 0.5]})
            run.save({"update": update, "weights": weights(config), "task": config.task})
    return folder


def resume(folder):
    """What a command does that goes on with a run."""
    config = Config.from_saved(read_config(folder), f"{folder / CONFIG}")
    with Run(folder, config, True) as run:
        return config, run.state


def look(folder):
    """What a command does that draws a run."""
    names = [read_config(folder)[field.name] for field in fields(Config)]
    lines = read_metrics(folder / METRICS)
    losses = [(line["loss"] or 0.0) + sum(line["moves"] or []) for line in lines]
    return names, losses, load_state(folder / CHECKPOINT)["weights"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return train(tmp_path_factory.mktemp("good") / "run", Config())


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(kit, "_origin", lambda: {"command": "train", "commit": None, "torch": "2"})


def contents(data):
    """Harmed contents of any file, by what was done."""
    size, noise = len(data), random.Random(0)
    for share in range(16):
        yield f"cut to {share}/16", data[: size * share // 16]
    for rest in (1, 2, 9):
        yield f"cut by {rest}", data[:-rest]
        yield f"without the first {rest}", data[rest:]
    for place in sorted(noise.sample(range(size), 100)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << noise.randrange(8)
        yield f"a bit of byte {place}", bytes(flipped)
    yield from {
        "noise": noise.randbytes(400),
        "zeros": bytes(400),
        "a page": b"<html>log in first</html>\n",
        "no UTF-8": b'{"update": 1, "task": "\xff\xfe"}\n',
        "UTF-16": data.decode("latin-1").encode("utf-16"),
        "a mark of UTF-8": b"\xef\xbb\xbf" + data,
        "twice": data * 2,
        "noise behind": data + noise.randbytes(40) + b"\n",
        "deep lists": b"[" * DEEP + b"]" * DEEP + b"\n",
        "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"\n",
        "deep inside": b'{"update": 1, "task": ' + b"[" * DEEP + b"]" * DEEP + b"}\n",
        "many digits": b'{"update": ' + b"9" * 5000 + b"}\n",
    }.items()
    for value in (*WRONG, float("nan")):
        yield f"{json.dumps(value)} alone", json.dumps(value).encode() + b"\n"


def configs(data):
    """Harmed configs that are JSON objects."""
    had = json.loads(data)
    for name in had:
        yield f"no {name}", {n: value for n, value in had.items() if n != name}
        for value in WRONG:
            if value != had[name]:
                yield f"{name} = {json.dumps(value)}", {**had, name: value}
    yield "an unknown name", {**had, "glimpses": 6}


def lines(data):
    """Harmed lines of metrics."""
    first, *others = data.splitlines(keepends=True)
    for name in json.loads(first):
        for value in WRONG:
            harmed = json.dumps({**json.loads(first), name: value}).encode() + b"\n"
            yield f"line 1, {name} = {json.dumps(value)}", b"".join([harmed, *others])
            yield f"line 4, {name} = {json.dumps(value)}", b"".join([first, *others[:2], harmed])
        less = {n: value for n, value in json.loads(first).items() if n != name}
        yield f"line 1, no {name}", b"".join([json.dumps(less).encode() + b"\n", *others])
    yield "a line twice", b"".join([first, first, *others])
    yield "a line missing", b"".join(others)
    yield "a blank line", b"".join([first, b"\n", *others])
    yield "another order", b"".join([*others, first])


def checkpoints(path):
    """Writes to `path` whole safetensors files that are no checkpoint of the run."""
    tensors = {"state.weights": torch.ones(3)}

    def with_structure(structure, **more):
        metadata = {"structure": structure, "checksum": _checksum(structure, tensors), **more}
        save_file(tensors, path, metadata)

    yield "no metadata", lambda: save_file(tensors, path)
    yield "other metadata", lambda: save_file(tensors, path, {"format": "pt"})
    for structure in ("", "nul", "{}", '{"tensor": "else"}', '{"dict": 7}', '{"dict": [[1]]}'):
        yield f"structure {structure!r}", lambda it=structure: with_structure(it)
    for structure in ('{"other": []}', '{"a": 1, "b": 2}', '{"dict": [[[], 1]]}', "[" * DEEP):
        yield f"structure {structure[:9]!r}", lambda it=structure: with_structure(it)
    deep = '{"list": [' * DEEP + "]}" * DEEP
    yield "a deep structure", lambda: with_structure(deep)
    for note in ("null", "[]", "{", '{"config": 7}', '{"config": {}, "limits": 7}'):
        yield f"note {note}", lambda it=note: with_structure("null", note=it)
    yield "an empty state", lambda: save_state(path, {})


def places(path):
    """What may be where the file should be."""
    yield "a folder", path.mkdir
    yield "a full folder", lambda: (path / "file").mkdir(parents=True)
    yield "a link to nothing", lambda: path.symlink_to("nothing")
    yield "a link to itself", lambda: path.symlink_to(path.name)
    yield "a link to a folder", lambda: path.symlink_to(".")
    yield "a device", lambda: path.symlink_to("/dev/zero")
    yield "a pipe", lambda: os.mkfifo(path)
    if os.geteuid():
        yield "a file that nobody may read", lambda: path.touch(0)


def damages(folder):
    """The file, what is done to it, and a function that does it, hundreds of times."""
    for name in FILES:
        path = folder / name
        data = path.read_bytes()
        for what, content in contents(data):
            yield name, what, lambda p=path, c=content: p.write_bytes(c)
        for what, act in places(path):
            yield name, what, lambda p=path, a=act: (p.unlink(), a())
        yield name, "missing", path.unlink
    for what, config in configs((folder / CONFIG).read_bytes()):
        yield CONFIG, what, lambda c=config: (folder / CONFIG).write_text(json.dumps(c))
    for what, content in lines((folder / METRICS).read_bytes()):
        yield METRICS, what, lambda c=content: (folder / METRICS).write_bytes(c)
    for what, act in checkpoints(folder / CHECKPOINT):
        yield CHECKPOINT, what, act


def restore(good, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in FILES:
        shutil.copyfile(good / name, folder / name)


def judge(act, name, folder):
    """What came of a command: its result, or the message, which names the file."""
    try:
        return act(folder), None
    except RunError as error:
        message = str(error)
    assert str(folder) in message
    assert name in message or "holds no" in message, message
    return None, message


def test_each_damage_is_refused_by_name_or_changes_nothing(good, tmp_path):
    folder, counts, resumed = tmp_path / "run", Counter(), set()
    state, origin = load_state(good / CHECKPOINT), read_config(good)["origin"]
    restore(good, folder)
    for name, what, harm in list(damages(folder)):
        restore(good, folder)
        harm()
        judge(look, name, folder)
        (result, message), case = judge(resume, name, folder), f"{name}: {what}"
        counts[name, message is None] += 1
        if message is not None:
            continue
        resumed.add((name, what))
        config, met = result
        for field in fields(Config):
            if field.name not in LIMITS:
                assert getattr(config, field.name) == getattr(Config(), field.name), case
        assert torch.equal(met.pop("weights"), state["weights"]), case
        assert met == {"update": 4, "task": "copy"}, case
        assert json.loads((folder / CONFIG).read_text())["origin"] == origin, case
        assert {line["update"] for line in read_metrics(folder / METRICS)} <= {1, 2, 3, 4}, case
    assert sum(counts.values()) > 600
    # what resumes is no damage to the run: a limit, a config that its copy stands in for, numbers
    # of the learning curve that are other numbers
    gone = {"missing", "a link to nothing", "a link to itself"}
    assert gone <= {what for name, what in resumed if name == METRICS}
    assert not [case for case in resumed if case[0] == CHECKPOINT]
    assert not [case for case in resumed if case[0] == METRICS and case[1].startswith("cut")]
    of_config = {what for name, what in resumed if name == CONFIG and "byte" not in what}
    assert of_config - gone - {"cut by 1"} == {
        *("seconds = null", "seconds = 7", "seconds = 0.5"),
        "updates = 7",
    }


def test_the_good_folder_resumes_again_and_again(good, tmp_path):
    """Negative control: it is the damage that is refused."""
    restore(good, tmp_path / "run")
    for _ in range(2):
        config, state = resume(tmp_path / "run")
        assert config == Config()
        assert state["update"] == 4
        assert len(look(tmp_path / "run")[1]) == 4


def test_a_damaged_config_is_repaired_as_the_error_says(good, tmp_path):
    folder = tmp_path / "run"
    for text in ("{", "null", "{}", '{"task": 7}', '{"task": "reverse"}'):
        restore(good, folder)
        (folder / CONFIG).write_text(text)
        with pytest.raises(
            RunError, match=f"{CONFIG} is damaged.*: delete it, and the copy of it in {CHECKPOINT}"
        ):
            resume(folder)
        assert (folder / CONFIG).read_text() == text
        (folder / CONFIG).unlink()
        assert resume(folder)[0] == Config()
        assert (folder / CONFIG).read_bytes() == (good / CONFIG).read_bytes()


def test_a_damaged_config_beside_a_checkpoint_of_an_earlier_version(good, tmp_path):
    folder = tmp_path / "run"
    for text, why in {
        "{": "Expecting property name",
        "null": "it holds null, not an object",
        "[" * DEEP: "recursion",
        "{}": "it does not say its origin",
    }.items():
        restore(good, folder)
        save_state(folder / CHECKPOINT, dict(load_state(good / CHECKPOINT)))
        assert resume(folder)[0] == Config()
        save_state(folder / CHECKPOINT, dict(load_state(good / CHECKPOINT)))
        (folder / CONFIG).write_text(text)
        with pytest.raises(RunError, match=rf"{CONFIG} is damaged \(.*{why}.*\): put a copy of it"):
            resume(folder)
        (folder / CONFIG).unlink()
        with pytest.raises(RunError, match=rf"holds no run: there is no .*{CONFIG}"):
            resume(folder)


def test_a_wrong_type_beside_a_checkpoint_of_an_earlier_version(good, tmp_path):
    restore(good, tmp_path / "run")
    save_state(tmp_path / "run" / CHECKPOINT, dict(load_state(good / CHECKPOINT)))
    (tmp_path / "run" / CONFIG).write_text('{"task": 7}')
    with pytest.raises(RunError, match=rf"{CONFIG} cannot be used \(--task: 7 is not allowed"):
        resume(tmp_path / "run")


def test_a_checkpoint_of_another_run_is_not_taken(good, tmp_path):
    folder, other = tmp_path / "run", train(tmp_path / "other", Config(rate=0.25))
    restore(good, folder)
    shutil.copyfile(other / CHECKPOINT, folder / CHECKPOINT)
    with pytest.raises(RunError, match=rf"{CHECKPOINT} .*another run \(rate is 0.5 in .* 0.25 in"):
        resume(folder)


def test_a_limit_may_differ_from_the_checkpoints(good, tmp_path):
    """As after a resumption with another limit that was killed before its first checkpoint."""
    folder = tmp_path / "run"
    restore(good, folder)
    with Run(folder, Config(seconds=90.0), True):
        pass
    assert resume(folder)[0] == Config(seconds=90.0)


def test_files_that_cannot_be_read(good, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    restore(good, tmp_path / "run")
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(RunError, match=rf"holds no run \(Permission denied: .*{CONFIG}\)"):
        read_config(tmp_path / "run")
    with pytest.raises(RunError, match=rf"{METRICS} cannot be read \(Permission denied\)"):
        read_metrics(tmp_path / "run" / METRICS)


def test_a_name_that_a_file_lacks_is_said(good, tmp_path):
    restore(good, tmp_path / "run")
    with pytest.raises(RunError, match=rf"{CONFIG} has no glimpses: it is damaged, or of another"):
        read_config(tmp_path / "run")["glimpses"]
    with pytest.raises(RunError, match=rf"{METRICS}, line 1, has no error"):
        read_metrics(tmp_path / "run" / METRICS)[0]["error"]
    with pytest.raises(RunError, match=rf"{CHECKPOINT} has no optimizer"):
        load_state(tmp_path / "run" / CHECKPOINT)["optimizer"]


def test_names_that_are_too_long_are_plain_errors(tmp_path):
    for folder in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "run"):
        with pytest.raises(RunError, match=r"xxx.* cannot be written \(File name too long\)"):
            Run(folder, Config(), False)
        with pytest.raises(RunError, match=r"\(File name too long"):
            resume(folder)
        with pytest.raises(RunError, match=r"\(File name too long"):
            Run(folder, Config(), True)
        with pytest.raises(RunError, match=r"\(File name too long"):
            read_metrics(folder / METRICS)
        with pytest.raises(RunError, match=r"cannot be read \(File name too long"):
            load_state(folder / CHECKPOINT)
    with pytest.raises(RunError, match="could not be written .*File name too long"):
        save_state(tmp_path / ("x" * 300), {})


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RunError, match="bytes that are no letters, .*: name another folder by"):
        Run(tmp_path / "\udcff", Config(), False)
    assert not list(tmp_path.iterdir())
