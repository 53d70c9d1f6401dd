"""Annotations in layouts that other projects pass on: read in full, or refused in words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from xclip.training.errors import TrainingError
from xclip.training.readers import read_annotations, read_clips
from xclip.training.readers.clips import AnnotatedClip, named_file
from xclip.training.readers.rows import seconds

V = Path("videos")


def table(folder: Path, text: str) -> Path:
    """A table of that content, with a name that says nothing of its layout."""
    file = folder / "annotations"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("begin", "finish"),
        ("Start Time", "End Time"),
        ("startTime", "endTime"),
        ("start-seconds", "end-seconds"),
        ("start_timestamp", "stop_timestamp"),
        ("T_Start", "T_End"),
    ],
)
def test_times_under_the_names_that_people_use(tmp_path: Path, start: str, end: str) -> None:
    """A moment was the whole file where its columns were spelt otherwise."""
    text = f"Video Path,Caption,{start},{end}\na.mp4,x,1,2\n"
    assert read_clips("table", table(tmp_path, text), V, "test") == [
        AnnotatedClip(V / "a.mp4", "x", 1.0, 2.0)
    ]


@pytest.mark.parametrize("columns", ["start_frame,end_frame", "start,end_frame", "onset_ms,end"])
def test_times_in_other_units_are_refused(tmp_path: Path, columns: str) -> None:
    """Left aside without a word, they made clips of whole files."""
    text = f"path,caption,{columns}\na.mp4,x,1,2\n"
    with pytest.raises(TrainingError, match=r"has the column '.*', which is not read; times in"):
        read_clips("table", table(tmp_path, text), V, "test")


def test_both_times_in_one_value(tmp_path: Path) -> None:
    """What is no pair, as DiDeMo's votes are not, is left out and named."""
    rows = [
        {"video": "a.mp4", "caption": "x", "timestamp": [1, 4.5]},
        {"video": "a.mp4", "description": "x", "times": [[0, 0], [1, 1]]},
        {"video": "a.mp4", "caption": "x", "timestamp": "2024-01-01"},
    ]
    found = read_annotations("table", table(tmp_path, json.dumps(rows)), V, "test")
    assert found.clips == [
        AnnotatedClip(V / "a.mp4", "x", 1.0, 4.5),
        AnnotatedClip(V / "a.mp4", "x"),
    ]
    assert [row.reason for row in found.left_out] == [
        "its times [[0, 0], [1, 1]] are no pair of a start and an end"
    ]


def test_a_file_that_holds_the_moment_alone_keeps_no_times(tmp_path: Path) -> None:
    """MSVD's table names the original and its times, its files are cut and named after both."""
    (tmp_path / "mv89_33_46.avi").touch()
    text = "VideoID,Start,End,Language,Description\nmv89,33,46,English,a bird bathes\n"
    assert read_clips("table", table(tmp_path, text), tmp_path, "test") == [
        AnnotatedClip(tmp_path / "mv89_33_46.avi", "a bird bathes")
    ]


@pytest.mark.parametrize("column", ["set", "partition", "Data Split"])
def test_the_split_under_other_names(tmp_path: Path, column: str) -> None:
    """Otherwise a test would be of the clips that were trained on."""
    text = f"path,caption,{column}\na.mp4,x,train\nb.mp4,y,testing\n"
    assert read_clips("table", table(tmp_path, text), V, "test") == [
        AnnotatedClip(V / "b.mp4", "y")
    ]


@pytest.mark.parametrize(
    "content",
    [
        [{"id": "78687", "label": "x", "template": "[something]"}],
        [{"videoID": "78687", "enCap": ["x"], "chCap": ["y"]}],
        {"version": 1, "data": [{"clip_id": 78687, "caption": "x"}]},
        {"images": [], "annotations": [{"image_id": "78687", "caption": "x"}]},
    ],
)
def test_lists_of_other_data_sets(tmp_path: Path, content: object) -> None:
    """Something-Something, VATEX, lists within an object, COCO's layout."""
    for text in (json.dumps(content), json.dumps(content, indent=1)):
        assert read_clips("table", table(tmp_path, text), V, "test") == [
            AnnotatedClip(V / "78687.mp4", "x")
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('path, caption\na.mp4, "a man, a dog"\n', "a man, a dog"),
        ('path,caption\na.mp4,"a man sits,\nthen, he stands"\n', "a man sits,\nthen, he stands"),
        ('path,caption\na.mp4,"a man\u2028sits, he"\n', "a man\u2028sits, he"),
        ("sep=;\r\npath;caption\r\na.mp4;a man, a dog\r\n", "a man, a dog"),
        ("path,caption\na.mp4,x,,\n", "x"),
        ("path,caption\ra.mp4,x\r", "x"),
        ("\ufeffpath,caption\n\ufeffa.mp4,x\n", "x"),
    ],
)
def test_commas_blanks_and_line_ends_as_programs_write_them(
    tmp_path: Path, text: str, said: str
) -> None:
    """A blank behind a comma, prose over two lines, Excel's first line, its empty cells."""
    file = tmp_path / "t.csv"
    file.write_bytes(text.encode())
    assert read_clips("table", file, V, "test") == [AnnotatedClip(V / "a.mp4", said)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a.mp4,"a man\nb.mp4, second\nc.mp4, third"\n', "line 2: .*'b.mp4, second'"),
        ("a.mp4\n", "a line has a field for each column"),
        ('a.mp4,say \\"a\\, b\\"\n', "not behind a backslash"),
        ('a.mp4,"say \\"a\\" b"\n', "not behind a backslash"),
    ],
)
def test_what_cannot_be_told_apart_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    """Each way to write a table wrongly has its own remedy."""
    with pytest.raises(TrainingError, match=complaint):
        read_clips("table", table(tmp_path, "path,caption\n" + text), V, "test")


@pytest.mark.parametrize(
    ("value", "found"), [("90:00", 5400.0), ("1:90:00", None), ("90s", 90.0), ("1.5 sec", 1.5)]
)
def test_long_minutes_and_units(value: str, found: float | None) -> None:
    """Without hours, minutes may be more than 59; a unit may follow the seconds."""
    if found is None:
        with pytest.raises(ValueError, match="neither a number"):
            seconds("start", value)
    else:
        assert seconds("start", value) == found


def test_whole_numbers_that_were_saved_as_floats_are_labels(tmp_path: Path) -> None:
    """As tables with empty cells are saved; 3.5 is none."""
    rows = [{"path": "a.mp4", "label": 3.0}, {"path": {"0": "a"}, "label": "x"}]
    found = read_annotations("table", table(tmp_path, json.dumps(rows)), V, "test")
    assert [clip.text for clip in found.clips] == ["3"]
    assert [str(row) for row in found.left_out] == ["object 2: its file is no text but {'0': 'a'}"]


def test_half_an_emoji_is_no_caption(tmp_path: Path) -> None:
    """Texts are cut in the middle of one, and then no report could be written with them."""
    text = '[{"path": "a.mp4", "caption": "a man \\ud83d"}, {"path": "b.mp4", "caption": "x"}]'
    found = read_annotations("table", table(tmp_path, text), V, "test")
    assert [clip.text for clip in found.clips] == ["x"]
    assert [str(row) for row in found.left_out] == [
        "object 1: its caption or label holds half a character"
    ]


@pytest.mark.parametrize(
    "line",
    ["mv89_33_46 a bird in a sink", "a.mp4 running", "a.mp4 1 4 6", "dir-1 163 1", "a.mp4 -1"],
)
def test_what_is_no_list_of_paths_and_numbers(tmp_path: Path, line: str) -> None:
    """Captions, several labels, folders of frames: part of a line is no file's name."""
    with pytest.raises(TrainingError, match="line 1: it "):
        read_clips("list", table(tmp_path, line + "\n"), tmp_path, "test")


def test_a_list_may_name_files_with_blanks_and_numbers(tmp_path: Path) -> None:
    """Where such a file is there."""
    (tmp_path / "clip 163.mp4").touch()
    assert read_clips("list", table(tmp_path, "clip 163 1\na b.mp4,3\n"), tmp_path, "x") == [
        AnnotatedClip(tmp_path / "clip 163.mp4", "1"),
        AnnotatedClip(tmp_path / "a b.mp4", "3"),
    ]


@pytest.mark.parametrize(
    ("kind", "name", "asked", "line"),
    [
        ("list", "validation.txt", "val", "a.mp4 3"),
        ("charades-sta", "charades_sta_test.txt", "testing", "a 0 1##x"),
        (
            "qvhighlights",
            "highlight_val_release.jsonl",
            "validation",
            '{"vid": "a", "query": "x", "relevant_windows": [[0, 1]]}',
        ),
    ],
)
def test_a_splits_file_under_another_name(
    tmp_path: Path, kind: str, name: str, asked: str, line: str
) -> None:
    """`val`, `validate` and `validation` are one split in a file's name too."""
    (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    assert [clip.path.name for clip in read_clips(kind, tmp_path, V, asked)] == ["a.mp4"]
    with pytest.raises(TrainingError, match=rf"holds no .*; it holds {name}"):
        read_clips(kind, tmp_path, V, "train")


def test_a_video_of_another_form_is_left_out_alone(tmp_path: Path) -> None:
    """One broken entry ended the reading of a whole file, with Python's words."""
    content = {
        "v_a": {"annotations": None},
        "v_b": {"annotations": [3, {"segment": [1, 2], "label": "x"}, {"label": "y"}]},
        "v_c": {"timestamps": [0, 4], "sentences": ["one", "two"]},
    }
    found = read_annotations("activitynet", table(tmp_path, json.dumps(content)), V, "test")
    assert found.clips == [
        AnnotatedClip(V / "v_b.mp4", "x", 1.0, 2.0),
        AnnotatedClip(V / "v_b.mp4", "y"),
    ]
    assert [row.where for row in found.left_out] == ["v_a", "v_b[0]", "v_c[0]", "v_c[1]"]


def test_a_caption_of_a_video_that_is_not_listed_is_named(tmp_path: Path) -> None:
    """Before, the split was said to hold a video and no clip."""
    content = {
        "videos": [{"video_id": "v", "split": "test"}],
        "sentences": [{"video_id": "w", "caption": "x"}],
    }
    with pytest.raises(TrainingError, match="does not hold its video 'w'"):
        read_clips("msrvtt", table(tmp_path, json.dumps(content)), V, "test")


def test_lists_of_classes_as_people_have_them(tmp_path: Path) -> None:
    """Backslashes, tabs, no folder, a folder around the labels', converted files, `test01`."""
    (tmp_path / "Dive").mkdir()
    (tmp_path / "Dive" / "v_b.mp4").touch()
    lines = "Dive\\v_b.avi 1\r\nv_Dive_g01_c02.avi\r\nUCF-101/Dive/c.avi\r\n"
    (tmp_path / "testlist01.txt").write_bytes(lines.encode())
    assert read_clips("ucf101", tmp_path, tmp_path, "test01") == [
        AnnotatedClip(tmp_path / "Dive" / "v_b.mp4", "Dive"),
        AnnotatedClip(tmp_path / "v_Dive_g01_c02.avi", "Dive"),
        AnnotatedClip(tmp_path / "UCF-101" / "Dive" / "c.avi", "Dive"),
    ]
    (tmp_path / "dive_test_split1.txt").write_text("a.avi\t2\n", encoding="utf-8")
    assert [clip.text for clip in read_clips("hmdb51", tmp_path, V, "test")] == ["dive"]


def test_a_named_file_that_is_there_is_taken_first(tmp_path: Path) -> None:
    """A converted one stands in only where the named one is not."""
    (tmp_path / "a.mp4").touch()
    assert named_file(tmp_path, "a.avi") == tmp_path / "a.mp4"
    (tmp_path / "a.avi").touch()
    assert named_file(tmp_path, "a.avi") == tmp_path / "a.avi"
    assert named_file(tmp_path, "b.avi") == tmp_path / "b.avi"


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A second look at it finds nothing, and would call it empty."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TrainingError, match="is a pipe or a device"):
        read_clips("table", tmp_path / "pipe", V, "test")
