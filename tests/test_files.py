"""Small files: what is no JSON, or of another type, is one line; a text file is whole or absent."""

import json
import os

import pytest

from beautybert import files


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "is no JSON"),
        (b'{"a": 1', "is no JSON"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a":' + b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b'{"a": ["\\ud800"]}', "half a character"),
        (b'{"\\uDC00": 1}', "half a character"),
        (b"5", "is a whole number, must be an object"),
        (b"null", "is null, must be an object"),
        (b"[1]", "is a list, must be an object"),
    ],
)
def test_what_is_no_object_is_one_line_that_names_the_file(tmp_path, content, problem):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=problem) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_whole_character_may_be_escaped_as_two_halves(tmp_path):
    (tmp_path / "x.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert files.read_json(tmp_path / "x.json") == {"a": "😀"}


def test_a_mark_at_the_start_is_no_part_of_the_json(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(path) == {"a": 1}


@pytest.mark.parametrize(
    "kind, fine, wrong",
    [
        (bool, [True, False], [0, 1, "true", [], {}]),
        (int, [0, -3, 2**63 - 1], [True, 2.0, "2", 10**30, [2], {"a": 2}]),
        (float, [0, 1.5, -2], [False, "0.1", float("nan"), float("inf"), 10**400, [0.1]]),
        (str, ["", "x"], [1, True, ["x"], {"x": 1}]),
        (list, [[], [1]], ["x", {}, 0, False]),
        (dict, [{}, {"a": 1}], ["x", [], 0, False]),
    ],
)
def test_a_value_of_another_type_is_named_with_file_and_key(kind, fine, wrong):
    for value in fine:
        assert files.value_of({"k": value}, "k", kind, "f.json") == value
    for value in wrong:
        with pytest.raises(ValueError, match=f"f.json: k is .*, must be {files.KINDS[kind]}"):
            files.value_of({"k": value}, "k", kind, "f.json")


def test_a_missing_value_is_its_default_or_an_error():
    assert files.value_of({}, "k", int, "f.json", default=3) == 3
    assert files.value_of({"k": None}, "k", int, "f.json", default=3) == 3
    with pytest.raises(ValueError, match="f.json has no k, which must be a whole number"):
        files.value_of({}, "k", int, "f.json")
    with pytest.raises(ValueError, match="f.json: k is null, must be a whole number"):
        files.value_of({"k": None}, "k", int, "f.json")


def test_a_range_is_kept_and_named():
    assert files.value_of({"k": 1}, "k", int, "f.json", at_least=1, at_most=1) == 1
    with pytest.raises(ValueError, match="k is 0, must be a whole number of at least 1$"):
        files.value_of({"k": 0}, "k", int, "f.json", at_least=1)
    with pytest.raises(ValueError, match="k is 1.5, must be a number of at least 0 and at most 1"):
        files.value_of({"k": 1.5}, "k", float, "f.json", at_least=0, at_most=1)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(
    tmp_path, monkeypatch, failing
):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left on device: '.*x.json'"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["x.json"]


def test_a_write_reaches_the_disk_where_only_files_open_for_writing_can_be_flushed(
    tmp_path, monkeypatch
):
    fcntl = pytest.importorskip("fcntl", reason="tells how a file is open; Windows lacks it")
    flushed = []

    def fsync(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flushed.append(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(files.sys, "platform", "win32")
    files.write_text(tmp_path / "x.txt", "whole")
    files.flush(tmp_path)
    assert (tmp_path / "x.txt").read_text() == "whole" and len(flushed) == 1
