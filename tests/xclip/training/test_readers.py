"""Annotations of each data set, in the form its authors publish, to clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xclip.training.errors import TrainingError
from xclip.training.readers import read_clips
from xclip.training.readers.clips import AnnotatedClip

V = Path("/videos")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_csv_with_times_and_splits(tmp_path: Path) -> None:
    """Empty times are the file's own ends; other splits are left out."""
    table = write(
        tmp_path / "t.csv",
        'path,caption,start,end,split\na.mp4,"a dog, running",1.5,4,train\n'
        "b.mp4,a cat,,,train\nc.mp4,a bird,,,test\n",
    )
    assert read_clips("table", table, V, "train") == [
        AnnotatedClip(V / "a.mp4", "a dog, running", 1.5, 4.0),
        AnnotatedClip(V / "b.mp4", "a cat"),
    ]


def test_json_lines_with_labels(tmp_path: Path) -> None:
    """A line is an object with the same keys."""
    lines = (
        '{"path": "a.mp4", "label": "run", "start": 0, "end": 2}\n\n{"path": "b", "label": "sit"}\n'
    )
    assert read_clips("table", write(tmp_path / "t.jsonl", lines), V, "train") == [
        AnnotatedClip(V / "a.mp4", "run", 0.0, 2.0),
        AnnotatedClip(V / "b", "sit"),
    ]


def test_kinetics_finds_the_files_its_downloaders_leave(tmp_path: Path) -> None:
    """Named by id and times, in a folder of the label, or by id alone; missing ones are named."""
    table = write(
        tmp_path / "train.csv",
        "label,youtube_id,time_start,time_end,split\nabseiling,-3B32,10,20,train\n"
        "air drumming,xy_z,0,10,train\nzumba,gone,5,15,train\nzumba,other,5,15,val\n",
    )
    first = write(tmp_path / "v" / "abseiling" / "-3B32_000010_000020.mp4", "")
    second = write(tmp_path / "v" / "xy_z.webm", "")
    assert read_clips("kinetics", table, tmp_path / "v", "train") == [
        AnnotatedClip(first, "abseiling"),
        AnnotatedClip(second, "air drumming"),
        AnnotatedClip(tmp_path / "v" / "gone_000005_000015.mp4", "zumba"),
    ]


def test_hmdb51_splits(tmp_path: Path) -> None:
    """1 is training, 2 is test, 0 neither; a label's folder keeps its underscore."""
    write(tmp_path / "brush_hair_test_split2.txt", "a_b.avi 1 \nc.avi 2 \nd.avi 0 \n")
    write(tmp_path / "brush_hair_test_split1.txt", "z.avi 1 \n")
    assert read_clips("hmdb51", tmp_path, V, "train2") == [
        AnnotatedClip(V / "brush_hair" / "a_b.avi", "brush hair")
    ]
    assert [clip.path.name for clip in read_clips("hmdb51", tmp_path, V, "test2")] == ["c.avi"]
    assert [clip.path.name for clip in read_clips("hmdb51", tmp_path, V, "train")] == ["z.avi"]


def test_ucf101_splits(tmp_path: Path) -> None:
    """Training lists number their labels, test lists do not."""
    write(tmp_path / "trainlist01.txt", "ApplyEyeMakeup/v_g08_c01.avi 1\n")
    write(tmp_path / "testlist01.txt", "ApplyEyeMakeup/v_g01_c01.avi\n")
    for split, name in (("train1", "v_g08_c01.avi"), ("test", "v_g01_c01.avi")):
        assert read_clips("ucf101", tmp_path, V, split) == [
            AnnotatedClip(V / "ApplyEyeMakeup" / name, "ApplyEyeMakeup")
        ]


def test_msrvtt_captions(tmp_path: Path) -> None:
    """Every sentence of the split's videos; the files are cut already, so times are dropped."""
    content = {
        "videos": [
            {"video_id": "video0", "split": "train", "start time": 137.7, "end time": 149.4},
            {"video_id": "video1", "split": "test", "start time": 0, "end time": 9},
        ],
        "sentences": [
            {"video_id": "video0", "caption": "a car is shown", "sen_id": 0},
            {"video_id": "video1", "caption": "a man sings", "sen_id": 1},
            {"video_id": "video0", "caption": "a red car", "sen_id": 2},
        ],
    }
    clips = read_clips("msrvtt", write(tmp_path / "m.json", json.dumps(content)), V, "train")
    assert clips == [
        AnnotatedClip(V / "video0.mp4", "a car is shown"),
        AnnotatedClip(V / "video0.mp4", "a red car"),
    ]


def test_activitynet_moments(tmp_path: Path) -> None:
    """A clip for each moment; the folder holds a file for each split."""
    content = {
        "v_x": {
            "duration": 82.7,
            "timestamps": [[0.8, 19.9], [17.4, 60.8]],
            "sentences": ["A woman walks.", " She stops."],
        }
    }
    write(tmp_path / "val_1.json", json.dumps(content))
    assert read_clips("activitynet", tmp_path, V, "val_1") == [
        AnnotatedClip(V / "v_x.mp4", "A woman walks.", 0.8, 19.9),
        AnnotatedClip(V / "v_x.mp4", "She stops.", 17.4, 60.8),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("table", "name,caption\na.mp4,x\n", "line 2 .* lacks a path"),
        ("table", "path,caption,start\na.mp4,x,soon\n", "no annotations of kind table"),
        ("table", "path,caption,split\na.mp4,x,val\n", "no clip of the split 'train'"),
        ("msrvtt", "[1, 2]", "no annotations of kind msrvtt"),
        ("kinetics", "path,label\na,b\n", "no annotations of kind kinetics"),
    ],
)
def test_other_annotations_are_refused(
    tmp_path: Path, kind: str, text: str, complaint: str
) -> None:
    """In words, with the file."""
    with pytest.raises(TrainingError, match=complaint):
        read_clips(kind, write(tmp_path / "annotations", text), V, "train")
