"""Settings: read from the environment, checked as a whole, and never misspelt in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.service_urls import base_url
from app.settings import Settings, SettingsError, describe_settings, load_settings


def test_an_empty_environment_gives_a_service_on_loopback() -> None:
    """Without any variable the service listens on this machine only."""
    settings = load_settings({"PATH": "/bin"})
    assert settings == Settings()
    assert (settings.host, settings.worker_host) == ("127.0.0.1", "127.0.0.1")


def test_variables_set_the_fields_of_their_names() -> None:
    """Every type a setting has is read from text."""
    settings = load_settings(
        {
            "XCLIP_DATA_DIR": "/srv/clips",
            "XCLIP_PORT": "9000",
            "XCLIP_WINDOW_S": "4.5",
            "XCLIP_THREADS": "2",
            "XCLIP_HOST": "0.0.0.0",
            "XCLIP_ALLOWED_HOSTS": "clips.example.org, clips",
        }
    )
    assert settings == Settings(
        data_dir=Path("/srv/clips"),
        port=9000,
        window_s=4.5,
        threads=2,
        host="0.0.0.0",
        allowed_hosts="clips.example.org, clips",
    )
    assert settings.hosts_allowed == {"clips.example.org", "clips"}
    assert Settings().hosts_allowed == set()


def test_an_unknown_variable_refuses_the_start_and_is_named() -> None:
    """A misspelt limit must not be a limit that silently does not hold."""
    with pytest.raises(SettingsError, match="XCLIP_MAX_UPLOAD_BYTE is not a setting"):
        load_settings({"XCLIP_MAX_UPLOAD_BYTE": "1"})


def test_a_variable_in_other_letters_is_refused_and_its_spelling_named() -> None:
    """Two spellings of one variable would replace each other, by the order of the environment."""
    with pytest.raises(SettingsError, match=r"XCLIP_worker_url is not a setting.*XCLIP_WORKER_URL"):
        load_settings({"XCLIP_worker_url": "http://a:1", "XCLIP_WORKER_URL": "http://b:1"})


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CUDA", "cpu:0 ", "auto\n"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    """The start says so, not PyTorch when the model is on its way."""
    with pytest.raises(SettingsError, match=r"XCLIP_DEVICE=.*must be auto, cpu, cuda, or cuda:N"):
        load_settings({"XCLIP_DEVICE": device})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:3"])
def test_the_devices_that_are_described_are_accepted(device: str) -> None:
    """The list of the description is the list of the check."""
    assert load_settings({"XCLIP_DEVICE": device}).device == device


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and units are not read by a shell; a folder called `~` is never meant."""
    monkeypatch.setenv("HOME", "/home/ada")
    settings = load_settings({"XCLIP_DATA_DIR": "~/clips", "XCLIP_MODEL": "~/models/x"})
    assert (settings.data_dir, settings.model) == (Path("/home/ada/clips"), "/home/ada/models/x")
    with pytest.raises(SettingsError, match=r"XCLIP_DATA_DIR=.*no such home folder"):
        load_settings({"XCLIP_DATA_DIR": "~no-such-user/x"})


@pytest.mark.parametrize("path", ['"/srv/x"', "'/srv/x'", "$HOME/x", "${HOME}/x", "a\0b"])
@pytest.mark.parametrize("variable", ["XCLIP_DATA_DIR", "XCLIP_MODEL"])
def test_what_only_a_shell_reads_is_refused(variable: str, path: str) -> None:
    """Files of variables keep quotes and dollars, and a folder of that name would be made."""
    with pytest.raises(SettingsError, match=f"{variable}=.* write the path out"):
        load_settings({variable: path})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("XCLIP_LEASE_S", "1e300"),
        ("XCLIP_KEEP_ALIVE_S", "1e-300"),
        ("XCLIP_THREADS", "1000000"),
        ("XCLIP_MAX_UPLOAD_BYTES", "99999999999999999999"),
        ("XCLIP_MAX_ATTEMPTS", "99999999999999999999"),
    ],
)
def test_numbers_that_nothing_can_hold_are_refused(variable: str, value: str) -> None:
    """They ended a process while it ran, which was then started again and again."""
    with pytest.raises(SettingsError, match=f"{variable}='{value}' is refused"):
        load_settings({variable: value})


def test_every_refused_variable_is_named_at_once() -> None:
    """An operator mends all mistakes in one go."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"XCLIP_PORT": "http", "XCLIP_LEASE_S": "0", "XCLIP_NOPE": "1"})
    for name in ("XCLIP_PORT", "XCLIP_LEASE_S", "XCLIP_NOPE"):
        assert name in str(refusal.value)


def test_empty_values_and_test_variables_do_not_count() -> None:
    """A compose file may pass a variable on empty; tests and clients have names of their own."""
    environ = {"XCLIP_MODEL": "", "XCLIP_TEST_VIDEOS": "/clips", "XCLIP_API_KEY": "xclip_a_b"}
    assert load_settings(environ) == Settings()


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_durations_are_finite_and_positive(value: str) -> None:
    """NaN compares false with everything, so it would switch a deadline off."""
    with pytest.raises(SettingsError, match="XCLIP_DECODE_TIMEOUT_S"):
        load_settings({"XCLIP_DECODE_TIMEOUT_S": value})


def test_a_stride_longer_than_the_window_is_refused() -> None:
    """It would leave parts of every video unsearchable."""
    with pytest.raises(SettingsError, match="belong to no segment"):
        load_settings({"XCLIP_WINDOW_S": "2", "XCLIP_STRIDE_S": "3"})


def test_addresses_are_derived_unless_given(tmp_path: Path) -> None:
    """The catalog lies in the data folder and the worker is where it listens."""
    settings = Settings(data_dir=tmp_path, worker_port=8123)
    assert settings.catalog_url == f"sqlite:///{tmp_path}/catalog.sqlite"
    assert settings.worker_base_urls == ("http://127.0.0.1:8123",)
    elsewhere = Settings(database_url="postgresql://db/clips", worker_url="http://gpu:8001")
    assert elsewhere.catalog_url == "postgresql://db/clips"
    assert elsewhere.worker_base_urls == ("http://gpu:8001",)


def test_several_workers_are_joined_by_commas() -> None:
    """Blanks around an address mean nothing, and an address named twice is one worker."""
    settings = load_settings({"XCLIP_WORKER_URL": "http://a:1, http://b:2,http://a:1,"})
    assert settings.worker_base_urls == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("setting", "urls"),
    [
        ("http://x,http://x/", ("http://x",)),
        ("HTTP://X:80,http://x", ("http://x",)),
        ("https://x:443,https://x:8443", ("https://x", "https://x:8443")),
        ("http://[0:0::1]:1,http://[::1]:1", ("http://[::1]:1",)),
        ("http://worker_1:8001", ("http://worker_1:8001",)),
    ],
)
def test_a_worker_has_one_spelling(setting: str, urls: tuple[str, ...]) -> None:
    """Two spellings of one address are one worker, with its one share of the calls."""
    assert load_settings({"XCLIP_WORKER_URL": setting}).worker_base_urls == urls


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("http://127.0.0.1:abc", "'http://127.0.0.1:abc' has no valid host and port"),
        ("http://a:99999", "'http://a:99999' has no valid host and port"),
        ("http://a:0", "'http://a:0' has a port that is not one of 1 to 65535"),
        ("http://a:", "'http://a:' has a port"),
        ("http://a:1,http://::1:1", "'http://::1:1' has no valid host"),
        ("http://[::1", "'http://[::1' has no valid host"),
        ("http://[x]:1", "'http://[x]:1' has no valid"),
        ("a b", "'a b' holds blanks"),
        ("http://a\tb", "holds blanks"),
        ("http://a;b", "'http://a;b' has no valid host"),
        ("http://", "'http://' has no valid host"),
        ("http://a..b", "has no valid host"),
        ("127.0.0.1:19101", "'127.0.0.1:19101' does not begin with http://"),
        ("one", "'one' does not begin with http://"),
        ("ftp://one:1", "'ftp://one:1' does not begin with http://"),
        ("http://a:1/path", "the address of 'a:1' must end after host and port"),
        ("http://a:1?x=1", "the address of 'a:1' must end"),
        ("http://a:1#x", "the address of 'a:1' must end"),
        (",,", "it names no address"),
    ],
)
def test_an_address_that_no_worker_can_have_prevents_the_start(setting: str, reason: str) -> None:
    """The refusal names the setting and the part of it that is wrong."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"XCLIP_WORKER_URL": setting})
    assert str(refusal.value).startswith("XCLIP_WORKER_URL is refused: ")
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    "setting",
    ["http://u:geheim@a:1", "http://b:1,http://u:geh,eim@a:1", "u:geheim@a", "http://u:geheim@[a"],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(setting: str) -> None:
    """The refusal ends up in logs, where no password belongs."""
    with pytest.raises(SettingsError, match="must not hold a user or a password") as refusal:
        load_settings({"XCLIP_WORKER_URL": setting})
    assert "geh" not in str(refusal.value)


@pytest.mark.parametrize(
    "setting", ["collector:4318", "http://", "http://u:geheim@a:x", "ftp://a", "http://a:0/otlp"]
)
def test_an_address_for_traces_that_none_can_have_prevents_the_start(setting: str) -> None:
    """It may hold a user and a path, but has to be an http(s) URL; no password is repeated."""
    with pytest.raises(SettingsError, match="XCLIP_OTLP_URL is refused") as refusal:
        load_settings({"XCLIP_OTLP_URL": setting})
    assert "geheim" not in str(refusal.value)
    sound = "https://u:geheim@collector:4318/otlp"
    assert load_settings({"XCLIP_OTLP_URL": sound}).otlp_url == sound


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_wildcard_address_is_reached_by_loopback(host: str, url: str) -> None:
    """Nobody can connect to the address that means all addresses."""
    assert base_url(host, 80) == url


def test_every_setting_is_described() -> None:
    """What `--help` lists is complete, and each line says something."""
    described = {setting.variable: setting for setting in describe_settings()}
    assert set(described) == {f"XCLIP_{name.upper()}" for name in Settings.model_fields}
    assert all(len(setting.description) > 15 for setting in described.values())
    assert described["XCLIP_DATABASE_URL"].default == "not set"
    assert described["XCLIP_PORT"].default == "8000"
