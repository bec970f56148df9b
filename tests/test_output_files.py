import gc
import os
import stat

import numpy as np
import pytest
from trace_samples import sample_trace

from vreason_jax.errors import UserError
from vreason_jax.output.files import check_writable, write_atomic
from vreason_jax.output.inputs import dump_inputs
from vreason_jax.output.plot import write_plot
from vreason_jax.output.trace import write_trace


def test_check_leaves_no_file_behind_and_keeps_the_old_one(tmp_path):
    old = tmp_path / "old.json"
    old.write_text("old")
    check_writable(old)
    check_writable(tmp_path / "new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "old"


def test_check_names_the_flag_and_what_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    cases = {
        tmp_path: "is a folder",
        "": "is a folder",
        tmp_path / "missing" / "x.json": "is not a folder; create it first",
        tmp_path / "file" / "x.json": "is not a folder",
        tmp_path / ("x" * 300): "too long",
        tmp_path / "x\0y": "null",
    }
    for path, message in cases.items():
        with pytest.raises(UserError, match=message) as caught:
            check_writable(path, "--trace")
        assert str(caught.value).startswith("--trace: cannot write")


def test_folder_that_refuses_new_files_is_found_out_even_by_root(tmp_path):
    if os.geteuid() == 0:
        folder = "/proc"  # refuses root as well
    else:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o555)
    with pytest.raises(UserError, match="cannot write"):
        check_writable(f"{folder}/x.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write any file; run as another user")
def test_file_that_may_not_be_written_is_found_out(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("kept")
    path.chmod(0o444)
    with pytest.raises(UserError, match="no permission"):
        check_writable(path)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.bin"
    write_atomic(path, lambda file: file.write(b"first"))

    def fail(file):
        file.write(b"half")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        write_atomic(path, fail)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x.bin"]


def test_full_disk_is_a_user_error(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_atomic(tmp_path / "x", fail)


def test_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    write_atomic(tmp_path / "x", lambda file: file.write(b""))
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "x")}
    assert len(modes) == 1


def test_link_keeps_pointing_where_it_did(tmp_path):
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    check_writable(tmp_path / "link")
    write_atomic(tmp_path / "link", lambda file: file.write(b"x"))
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full"])
def test_a_device_leaves_no_descriptor_open(path):
    pytest.importorskip("matplotlib", reason="pip install 'vreason-jax[plots]'")
    before = open_at(path)
    for write in (
        lambda: write_trace(path, {"text": "x" * 10**6}),
        lambda: dump_inputs(path, {"frames": np.zeros(10**6, np.uint8)}),
        lambda: write_plot(path, sample_trace(5)),
    ):
        try:
            write()
        except UserError as error:
            assert "No space left on device" in str(error)
    gc.collect()
    assert open_at(path) == before


def open_at(path):
    """How many descriptors of this process lead to `path`; those of the listing are gone."""
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and os.readlink(link) == path for link in links)


def test_device_is_written_in_place_not_replaced():
    check_writable("/dev/null")
    write_atomic("/dev/null", lambda file: file.write(b"x"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
