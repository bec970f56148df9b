"""Properties of folders that are written whole or not at all."""

import os
import threading
import time

import pytest

from vreason_jax.output.folders import written_whole


def test_a_folder_comes_whole_and_replaces_an_older_one(tmp_path):
    target = tmp_path / "made" / "run"
    for word in ("first", "second"):
        with written_whole(target) as draft:
            (draft / word).touch()
            assert target.exists() == (word == "second")
        assert [file.name for file in target.iterdir()] == [word]
    assert [folder.name for folder in target.parent.iterdir()] == ["run"]


def test_a_failure_leaves_the_older_folder_and_nothing_else(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "run") as draft:
        (draft / "half").touch()
        raise KeyboardInterrupt
    assert [folder.name for folder in tmp_path.iterdir()] == ["run"]
    assert not any((tmp_path / "run").iterdir())


def test_a_mounted_disk_is_written_to_itself(tmp_path, monkeypatch):
    """It cannot be renamed, and what is beside it may be another disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "older").touch()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == disk)
    with written_whole(disk) as draft:
        assert draft.is_relative_to(disk)
        (draft / "config.json").touch()
        (draft / "weights").mkdir()
        (draft / "weights" / "0").touch()
    assert sorted(file.name for file in disk.iterdir()) == ["config.json", "weights"]
    assert (disk / "weights" / "0").exists() and list(tmp_path.iterdir()) == [disk]


def test_what_a_thread_writes_after_the_failure_is_removed_too(tmp_path):
    """As Orbax's threads do, where one write has failed and others wait for their turn."""
    late = []

    def write_again(draft):
        time.sleep(0.2)
        draft.mkdir(parents=True)
        late.append(draft)

    with pytest.raises(OSError), written_whole(tmp_path / "run") as draft:
        thread = threading.Thread(target=write_again, args=(draft,))
        thread.start()
        raise OSError
    thread.join()
    assert late and not any(tmp_path.iterdir())
