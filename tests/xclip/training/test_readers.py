"""Annotations of each data set, in the form its authors publish, to clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xclip.training.errors import TrainingError
from xclip.training.readers import read_annotations, read_clips
from xclip.training.readers.clips import AnnotatedClip
from xclip.training.readers.rows import RowError, seconds

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
        ("table", "name,caption\na.mp4,x\n", "no column with a file .*commas.* 'name', 'caption'"),
        ("table", "path,caption,start\na.mp4,x,soon\n", "line 2: its start 'soon' is neither"),
        ("table", "path,caption,split\na.mp4,x,val\n", "split 'train'; its splits are 'val' .1."),
        ("table", "", "has no column with a file"),
        ("table", "path,caption,caption\n", "'caption' occurs twice"),
        ("table", "path,label,youtube_id\n", "holds no clip"),
        ("table", "label,youtube_id\na,b\n", "it looks like kind kinetics"),
        ("table", '{"videos": [], "sentences": []}', "it looks like kind msrvtt"),
        ("table", '{"path": "a", "caption": "x"}\n\n[1]\n{}}\n', "line 3: it is no .*; line 4:"),
        ("table", '[{"path": "a", "caption": "x"}, 3]', "entry 2 is no object but 3"),
        ("msrvtt", "[1, 2]", "entry 1 is no object but 1; entry 2"),
        ("msrvtt", '{"info": {}}', "no list 'sentences' or 'annotations'.*'info'"),
        ("msrvtt", '{"sentences":\n[1,]}', "line 2 .* is not JSON"),
        ("activitynet", '{"v_a": 3}', "no object of videos"),
        ("kinetics", "path,label\na,b\n", "no column youtube_id: .*'path', 'label'"),
        ("charades-sta", "AO8RW 0.0 6.9##a\nAO8RW 0.0##b\n", "line 2: it is not of the form"),
        ("qvhighlights", '{"query": "a"}', "no key vid"),
        ("list", "a.mp4\n", "line 1: it is not of the form"),
    ],
)
def test_other_annotations_are_refused(
    tmp_path: Path, kind: str, text: str, complaint: str
) -> None:
    """In words, with the file."""
    with pytest.raises(TrainingError, match=complaint):
        read_clips(kind, write(tmp_path / "annotations", text), V, "train")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a.mp4,"a man said\nb.mp4,second\n', "line 3: a quote that is opened is not closed"),
        ("a.mp4,a man, a plan\nb,x,y\n", "line 3: 3 fields .* line 4: 3 fields"),
        ("a.mp4\n", "line 3: 1 fields where the first line has 2"),
        ('a.mp4,"a "big" man"\n', "line 3: text follows a closing quote"),
        ('a.mp4,"a man\nb.mp4,second\nc.mp4,third"\n', "line 3: .*'b.mp4,second'"),
    ],
)
def test_lines_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """With the numbers of all of them; before, what a quote swallowed was lost without a word."""
    table = write(tmp_path / "t.csv", "path,caption\nfirst.mp4,good\n" + text)
    with pytest.raises(TrainingError, match=complaint):
        read_clips("table", table, V, "test")


def test_a_quote_left_open_in_a_long_list_names_its_line(tmp_path: Path) -> None:
    """The CSV reader gives up on a field that long; the line is where the quote was opened."""
    lines = ["path,caption", "a.mp4,ok", 'b.mp4,"open', *(f"b.mp4,line {n}" for n in range(19000))]
    with pytest.raises(TrainingError, match="line 3: a quote that is opened is not closed"):
        read_clips("table", write(tmp_path / "t.csv", "\n".join(lines)), V, "test")


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("4", "1", "starts at 4 s, which is not before its end at 1 s"),
        ("1", "1", "starts at 1 s"),
        ("", "0", "starts at 0 s"),
        ("0", "inf", "not finite"),
        ("nan", "", "not finite"),
        ("-1", "1", "negative"),
        ("1e999", "", "not finite"),
        ("soon", "", "neither a number"),
        ("1_0", "", "neither a number"),
        ("00:01:70", "", "neither a number"),
    ],
)
def test_a_row_with_impossible_times_is_left_out_and_named(
    tmp_path: Path, start: str, end: str, reason: str
) -> None:
    """Whoever reads it, with its line; the rows beside it are read."""
    table = write(
        tmp_path / "t.csv", f"path,caption,start,end\na.mp4,x,{start},{end}\nb.mp4,y,2,\n"
    )
    found = read_annotations("table", table, V, "test")
    assert found.clips == [AnnotatedClip(V / "b.mp4", "y", 2.0, None)]
    (left_out,) = found.left_out
    assert left_out.where == "line 2"
    assert reason in left_out.reason


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        (" ", None),
        (0, 0.0),
        ("1.5", 1.5),
        ("1,5", 1.5),
        ("1e1", 10.0),
        ("2:05", 125.0),
        ("1:00:01.5", 3601.5),
        ("00:00:01,250", 1.25),
    ],
)
def test_times_as_people_write_them(value: object, found: float | None) -> None:
    """Seconds with a point or a comma, or a clock's time."""
    assert seconds("start", value) == found


@pytest.mark.parametrize("value", [True, [1], 10**400, float("nan"), "\u0661"])
def test_what_is_no_time_is_refused(value: object) -> None:
    """Also a number that no float holds, and digits that are not ASCII."""
    with pytest.raises(RowError):
        seconds("start", value)


def test_rows_without_a_text_or_a_file_are_left_out_all_at_once(tmp_path: Path) -> None:
    """One empty caption among thousands does not end a run; numbers are labels too."""
    lines = [
        {"path": "a.mp4", "label": 3},
        {"path": "a.mp4", "caption": None},
        {"path": "a.mp4", "caption": "  "},
        {"path": "", "caption": "x"},
        {"caption": "x"},
        {"path": "a.mp4", "caption": {"en": "x"}},
        {"path": "a\0.mp4", "caption": "x"},
        {"path": "\ud800.mp4", "caption": "x"},
        {"path": "b.mp4", "caption": ["one", "", "two"]},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    found = read_annotations("table", write(tmp_path / "t.jsonl", text), V, "test")
    assert [clip.text for clip in found.clips] == ["3", "one", "two"]
    assert [row.where for row in found.left_out] == [f"line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9)]
    with pytest.raises(TrainingError, match="no row that can be used: line 1: it has no caption"):
        read_clips("table", write(tmp_path / "t.jsonl", '{"path": "a", "caption": ""}'), V, "test")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_separator_and_the_names_that_people_use(tmp_path: Path, separator: str) -> None:
    """With a byte order mark, capitals and the line ends of Windows."""
    rows = [("Video_ID", "Sentence", "Start_Time"), ("v0", "a man sings", "1.5")]
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_clips("table", tmp_path / "t.csv", V, "test") == [
        AnnotatedClip(V / "v0.mp4", "a man sings", 1.5)
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("path,caption\na.mp4,grün".encode("latin-1"), "not UTF-8 text: line 2 .* 0xfc"),
        ("path,caption\n".encode("utf-16"), "is UTF-16"),
        (b"path,caption\na.mp4,x\0\n", "line 2 holds a NUL"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    """With the line, whatever the locale is."""
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=complaint):
        read_clips("table", tmp_path / "t.csv", V, "test")


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_part_of_the_first_file(tmp_path: Path, bom: str) -> None:
    """The lists of UCF-101 and HMDB-51 lost their first file to it."""
    write(tmp_path / "testlist01.txt", bom + "Archery/a.avi\n")
    write(tmp_path / "run_test_split1.txt", bom + "b.avi 2\n")
    (first,) = read_clips("ucf101", tmp_path, V, "test")
    assert first.path == V / "Archery/a.avi"
    assert [clip.path for clip in read_clips("hmdb51", tmp_path, V, "test")] == [V / "run/b.avi"]


@pytest.mark.parametrize("asked", ["val", "validate", "validation", "Val"])
@pytest.mark.parametrize("written", ["val", "validate", "validation"])
def test_the_validation_split_has_many_names(tmp_path: Path, asked: str, written: str) -> None:
    """In every kind that names splits within the file."""
    table = write(tmp_path / "t.csv", f"path,caption,split\na.mp4,x,{written}\nb.mp4,y,train\n")
    assert [clip.text for clip in read_clips("table", table, V, asked)] == ["x"]


def test_msrvtt_as_people_pass_it_on(tmp_path: Path) -> None:
    """The 1k-A split's CSV, a list of videos with their captions, a list of captions; no times."""
    csv = write(tmp_path / "jsfusion.csv", "key,vkey,video_id,sentence\nret0,msr0,video0,a man\n")
    videos = [{"video_id": "video0", "video": "video0.mp4", "caption": ["a man"], "start": 137.7}]
    captions = {"annotations": [{"image_id": "video0", "caption": "a man"}], "images": []}
    files = (
        csv,
        write(tmp_path / "videos.json", json.dumps(videos)),
        write(tmp_path / "captions.json", json.dumps(captions)),
    )
    for file in files:
        assert read_clips("msrvtt", file, V, "test") == [AnnotatedClip(V / "video0.mp4", "a man")]


def test_activitynet_classes_and_a_video_whose_lists_do_not_match(tmp_path: Path) -> None:
    """The database has a split for each video; one wrong video does not refuse the others."""
    moment = {"segment": [0.01, 0.02], "label": "Washing hands"}
    database = {
        "abc": {"subset": "validation", "annotations": [moment]},
        "x": {"subset": "training"},
    }
    file = write(tmp_path / "a.json", json.dumps({"version": "1.3", "database": database}))
    assert read_clips("activitynet", file, V, "val") == [
        AnnotatedClip(V / "abc.mp4", "Washing hands", 0.01, 0.02)
    ]
    captions = {
        "v_a": {"timestamps": [[0, 4], [4, 6]], "sentences": ["one"]},
        "v_b": {"timestamps": [[0, 4], [6, 4], 3], "sentences": ["one", "two", "three"]},
    }
    found = read_annotations(
        "activitynet", write(tmp_path / "c.json", json.dumps(captions)), V, "val"
    )
    assert [clip.text for clip in found.clips] == ["one"]
    assert [row.where for row in found.left_out] == ["v_a", "v_b[1]", "v_b[2]"]


def test_moment_retrieval_lists(tmp_path: Path) -> None:
    """Charades-STA's lines and QVHighlights' windows, in a folder by split or as a file."""
    charades = write(tmp_path / "charades_sta_test.txt", "AO8RW 0.0 6.9##a person reads.\n")
    for place in (charades, tmp_path):
        assert read_clips("charades-sta", place, V, "test") == [
            AnnotatedClip(V / "AO8RW.mp4", "a person reads.", 0.0, 6.9)
        ]
    lines = [
        {
            "qid": 1,
            "vid": "NUs_60.0_210.0",
            "query": "a dog",
            "relevant_windows": [[0, 4], [8, 12]],
        },
        {"qid": 2, "vid": "b", "query": "a cat"},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    found = read_annotations(
        "qvhighlights", write(tmp_path / "highlight_val_release.jsonl", text).parent, V, "val"
    )
    assert [(clip.path.name, clip.start, clip.end) for clip in found.clips] == [
        ("NUs_60.0_210.0.mp4", 0.0, 4.0),
        ("NUs_60.0_210.0.mp4", 8.0, 12.0),
    ]
    assert [row.where for row in found.left_out] == ["line 2"]


def test_lists_of_paths_and_numbers(tmp_path: Path) -> None:
    """As X-CLIP's authors' and MMAction's lists are; the number is the label."""
    file = write(tmp_path / "val.txt", "abseiling/a b.mp4 0\nx.mp4,12\nsub/y 3\n")
    for place in (file, tmp_path):
        assert read_clips("list", place, V, "val") == [
            AnnotatedClip(V / "abseiling/a b.mp4", "0"),
            AnnotatedClip(V / "x.mp4", "12"),
            AnnotatedClip(V / "sub/y", "3"),
        ]


def test_kinetics_as_json(tmp_path: Path) -> None:
    """The published JSON holds what the CSV holds."""
    content = {
        "abc": {
            "annotations": {"label": "eating cake", "segment": [0.0, 10.0]},
            "subset": "validate",
        }
    }
    assert read_clips("kinetics", write(tmp_path / "k.json", json.dumps(content)), V, "val") == [
        AnnotatedClip(V / "abc_000000_000010.mp4", "eating cake")
    ]
