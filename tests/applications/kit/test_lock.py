import errno
import fcntl
import os
import stat

import pytest

from applications.kit.errors import RunError
from applications.kit.lock import alone


def test_a_file_is_locked_that_is_open_to_write(tmp_path, monkeypatch):
    """NFS emulates the lock by one that only such a file can have."""
    locked = []
    monkeypatch.setattr(fcntl, "flock", lambda file, how: locked.append((file, how)))
    with alone(tmp_path):
        ((file, how),) = locked
        assert stat.S_ISREG(os.fstat(file).st_mode)
        assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        assert how == fcntl.LOCK_EX | fcntl.LOCK_NB


def test_one_process_at_a_time(tmp_path, capsys):
    for _ in range(2):  # the file that stays locks nobody out
        with (
            alone(tmp_path),
            pytest.raises(RunError, match=f"another process is training in {tmp_path}: wait"),
            alone(tmp_path),
        ):
            pass
    assert capsys.readouterr().err == ""


def test_where_there_are_no_locks_that_is_said(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone(tmp_path):
        assert capsys.readouterr().err == (
            f"note: {tmp_path} cannot be locked here (No locks available): the training continues; "
            "start no other in this folder until it has ended\n"
        )
