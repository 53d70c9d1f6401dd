"""File names in forms, as browsers, libraries and old clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routes.content_disposition import client_filename
from tests.app.stack import VIDEOS, Stack

FORMS = {
    b'filename="a.mp4"': "a.mp4",
    b"filename=a.mp4": "a.mp4",
    'filename="Übergröße 猫.mp4"'.encode(): "Übergröße 猫.mp4",
    b"filename*=UTF-8''na%C3%AFve%20clip.mp4": "naïve clip.mp4",
    b"filename*=utf-8'en'50%25.mp4": "50%.mp4",
    b"filename*=iso-8859-1''caf%e9.mp4": "café.mp4",
    b"filename=\"a.mp4\"; filename*=UTF-8''b.mp4": "b.mp4",
    b"filename*=UTF-8''b.mp4; filename=\"a.mp4\"": "b.mp4",
    b"filename*0*=UTF-8''a%20; filename*1=\"b.mp4\"": "a b.mp4",
    b'filename="=?utf-8?B?w6kubXA0?="': "é.mp4",
    b'filename="=?UTF-8?Q?caf=C3=A9_1?= =?utf-8?q?.mp4?="': "café 1.mp4",
    b'filename="a%22b%22.mp4"': 'a"b".mp4',
    b'filename="a\\"b.mp4"': 'a"b.mp4',
    b'filename="a%0D%0Ab.mp4"': "a\r\nb.mp4",
    b'filename="100%25 %41.mp4"': "100%25 %41.mp4",  # no browser writes these for others
    b'filename="caf\xe9.mp4"': "café.mp4",
    b'filename="a;b=c.mp4"': "a;b=c.mp4",
    b"filename=\"a; filename*=UTF-8''b.mp4\"": "a; filename*=UTF-8''b.mp4",
    b"filename*=''caf%C3%A9.mp4": "café.mp4",
    b'filename*0="a "; filename*1="b.mp4"': "a b.mp4",
    b"filename*=a%20b.mp4": "a b.mp4",
    "filename*=UTF-8''à.mp4".encode(): "à.mp4",
    b"filename*=idna''a.mp4": "a.mp4",  # a codec of Python's that is no charset
    b"filename*=undefined''a.mp4": "a.mp4",
    b'filename="=?utf-8?B?w6k=?=.mp4"': "é.mp4",
    b'filename="1 =?utf-8?Q?=C3=A9?= =?utf-8?Q?=C3=A9?= .mp4"': "1 éé .mp4",
    b'filename="=?utf-8*fr?B?w6kubXA0?="': "é.mp4",
    # not in any of the forms after all
    b'filename="=?utf-8?B?!!?="': "=?utf-8?B?!!?=",
    b'filename="=?none?B?w6k=?="': "=?none?B?w6k=?=",
    b'filename*=plain; filename="a.mp4"': "a.mp4",
    b'filename*=; filename="a.mp4"': "a.mp4",
    b"filename*" + b"9" * 5000 + b'=x; filename="a.mp4"': "a.mp4",
    b"": "",
}


@pytest.mark.parametrize("sent", list(FORMS), ids=lambda sent: repr(sent[:40]))
def test_a_name_is_read_in_whatever_form_it_is_written(sent: bytes) -> None:
    """It is what the file is called in the client's folder."""
    assert client_filename(b'form-data; name="file"; ' + sent) == FORMS[sent]


@given(st.binary(max_size=200))
def test_any_header_has_a_name_or_none(sent: bytes) -> None:
    """Nothing that a client sends there is an error."""
    assert isinstance(client_filename(b'form-data; name="file"; ' + sent), str)
    assert isinstance(client_filename(b"form-data; filename*=" + sent), str)
    assert isinstance(client_filename(b'form-data; filename="=?' + sent), str)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_what_a_browser_sends_comes_back(name: str) -> None:
    """Browsers escape quotes and ends of lines only, so a name with such an escape is the limit."""
    sent = name
    for plain, escaped in (('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
        if escaped in name or "\\" in name or "=?" in name:
            return
        sent = sent.replace(plain, escaped)
    assert client_filename(f'form-data; name="file"; filename="{sent}"'.encode()) == name


def test_an_upload_has_the_name_of_its_extended_parameter(stack: Stack) -> None:
    """As Python's older clients send it, where it was \"unnamed\"."""
    head = b"--b\r\nContent-Disposition: form-data; name=file; filename*=utf-8''%C3%A9.mp4\r\n\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = stack.api.post(VIDEOS, content=head + b"x\r\n--b--\r\n", headers=headers)
    assert answer.json()["video"]["filename"] == "é.mp4"
