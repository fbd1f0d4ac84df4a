from __future__ import annotations

import pytest

from app.sdk.discovery import default_data_folder, discover
from app.sdk.errors import NotConfiguredError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "url").write_text("http://127.0.0.1:8753\n")
    (tmp_path / "api-key").write_text("sr_local\n")
    return tmp_path


def test_the_service_of_this_machine_is_found(folder):
    found = discover(data_folder=folder)
    assert (found.base_url, found.api_key) == ("http://127.0.0.1:8753", "sr_local")
    assert "sr_local" not in repr(found)


def test_arguments_win_over_the_environment_and_that_over_the_folder(folder, monkeypatch):
    monkeypatch.setenv("STEADYRANK_URL", "http://env.test/")
    monkeypatch.setenv("STEADYRANK_API_KEY", "sr_env")
    found = discover(data_folder=folder)
    assert (found.base_url, found.api_key) == ("http://env.test", "sr_env")
    found = discover("http://argument.test", "sr_argument", data_folder=folder)
    assert (found.base_url, found.api_key) == ("http://argument.test", "sr_argument")


@pytest.mark.parametrize(
    "url", ["http://elsewhere.test:8753", "http://127.0.0.1:9000", "https://127.0.0.1:8753"]
)
def test_the_local_key_goes_to_the_local_service_alone(folder, url):
    assert discover(url, data_folder=folder).api_key is None


def test_localhost_is_the_local_service_too(folder):
    assert discover("http://localhost:8753/", data_folder=folder).api_key == "sr_local"


def test_nothing_known_says_what_to_do(tmp_path):
    with pytest.raises(NotConfiguredError) as caught:
        discover(data_folder=tmp_path)
    assert "steadyrank up" in caught.value.hint


def test_an_address_without_a_scheme_is_refused(tmp_path):
    with pytest.raises(NotConfiguredError, match="not a service address"):
        discover("localhost:8753", data_folder=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:abc",
        "http://localhost:99999",
        "http://[::1",
        "http://",
        "http://:8753",
        "http://a\x01",
        "http://xn--a",
        "http://a..b",
        f"http://{'a' * 300}",
        "ftp://a.test",
    ],
)
def test_an_address_that_is_none_is_refused_and_named(folder, url):
    with pytest.raises(NotConfiguredError) as caught:
        discover(url, data_folder=folder)
    assert repr(url.rstrip("/")) in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8753", "https://b\u00fccher.test/steadyrank", "http://10.0.0.1"]
)
def test_unusual_addresses_are_taken(tmp_path, url):
    assert discover(url, data_folder=tmp_path).base_url == url


def test_a_damaged_file_of_this_machines_service_disturbs_no_other(folder):
    (folder / "url").write_text("http://[::1")
    assert discover("http://elsewhere.test", data_folder=folder).api_key is None


def test_a_broken_key_is_refused_without_being_quoted(tmp_path):
    with pytest.raises(NotConfiguredError) as caught:
        discover("http://a.test", "sr_first\nsr_second", data_folder=tmp_path)
    assert "sr_first" not in str(caught.value)


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("STEADYRANK_DATA_DIR", "/srv/steadyrank")
    assert str(default_data_folder()) == "/srv/steadyrank"
    monkeypatch.delenv("STEADYRANK_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert str(default_data_folder()) == "/data/steadyrank"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_data_folder() == tmp_path / ".local" / "share" / "steadyrank"
