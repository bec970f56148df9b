"""Small files: only regular ones are read, and no other can make a program wait."""

import os
import socket

import pytest

from vreason_jax.errors import UserError
from vreason_jax.json_files import parse_json, read_json
from vreason_jax.regular_files import check_regular, read_bytes, read_text
from vreason_jax.toml_files import parse_toml, read_named_toml

DEEP = 100_000


@pytest.fixture
def special(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp_path)  # names of sockets are short
    listener.bind("socket")
    os.chdir(here)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    yield {
        "a pipe": tmp_path / "pipe",
        "a folder": tmp_path / "folder",
        "a socket": tmp_path / "socket",
        "a device": "/dev/zero",
    }
    listener.close()


def test_what_is_no_regular_file_is_told_by_its_kind_at_once(special):
    before = os.listdir("/proc/self/fd")
    for kind, path in special.items():
        for read in (check_regular, read_bytes, read_text):
            with pytest.raises(OSError, match=kind):
                read(path)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000])
def test_a_name_that_no_file_can_have_is_an_oserror(name):
    with pytest.raises(OSError):
        read_text(name)


def test_a_link_to_a_file_is_read_and_a_mark_of_byte_order_is_no_text(tmp_path):
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfone\r\n")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_text(tmp_path / "link") == "one\r\n"


def test_a_file_larger_than_asked_for_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", largest=5) == b"12345"
    with pytest.raises(OSError, match="more than 4"):
        read_bytes(tmp_path / "file", largest=4)


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP])
def test_deeply_nested_json_is_no_json(text):
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize("text", ["a = " + "[" * DEEP, "a = " + "{b=" * DEEP, "9" * 10_000])
def test_deeply_nested_toml_is_no_toml(text):
    with pytest.raises(ValueError):
        parse_toml(text)


def test_json_is_read_as_python_reads_it():
    assert parse_json('{"a": 1, "a": 2}') == {"a": 2}
    assert parse_json("[Infinity, 1e999]") == [float("inf")] * 2
    assert parse_json('"\\ud800"') == "\ud800"
    with pytest.raises(ValueError):
        parse_json("9" * 10_000)


def test_a_json_file_is_an_object_or_one_line(tmp_path, special):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "deep.json").write_text("[" * DEEP)
    (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
    assert read_json(tmp_path / "none.json") == {}
    for path in ("list.json", "deep.json", "bytes.json", "pipe", "folder", "link"):
        with pytest.raises(UserError) as refusal:
            read_json(tmp_path / path)
        assert len(str(refusal.value).splitlines()) == 1


def test_a_config_that_is_a_pipe_or_a_folder_is_refused(tmp_path, special):
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe", "folder.toml", "socket", "a\0b"):
        with pytest.raises(UserError, match=r"^--config: "):
            read_named_toml(str(tmp_path / name), tmp_path, "--config")
