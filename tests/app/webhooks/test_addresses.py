from __future__ import annotations

import ipaddress
import threading

import pytest

from app.errors import ValidationFailed
from app.webhooks import addresses
from app.webhooks.addresses import RefusedAddressError, check_url, checked_addresses, refusal

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.0.1",
    "100.128.0.1",
    "2606:4700::1111",
]
PUBLIC += ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "192.0.1.1", "223.255.255.255", "2a00:1450::1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.8.9.1", "::1"]
PRIVATE += ["100.64.0.1", "100.127.255.254", "fc00::1", "fdff::1", "198.18.0.1", "198.19.255.255"]
PRIVATE += ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
NEVER = ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"]
NEVER += ["fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.1.2.3", "::"]
NEVER += ["224.0.0.1", "239.255.255.250", "ff02::1", "255.255.255.255", "240.0.0.1", "fe80::1", "fec0::1"]
NEVER += [
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001:0:1::1",
    "::127.0.0.1",
]
NEVER += ["64:ff9b:1::1", "100::1", "3fff::1", "192.88.99.1", "5f00::1"]


@pytest.mark.parametrize(
    ("address", "by_default", "for_operators"),
    [
        *((text, True, True) for text in PUBLIC),
        *((text, False, True) for text in PRIVATE),
        *((text, False, False) for text in NEVER),
    ],
)
def test_each_kind_of_address(address: str, by_default: bool, for_operators: bool) -> None:
    parsed = ipaddress.ip_address(address)
    assert (refusal(parsed, allow_private=False) is None) is by_default
    assert (refusal(parsed, allow_private=True) is None) is for_operators


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "::1"]
)
def test_no_notation_of_loopback_gets_through(host: str) -> None:
    with pytest.raises(RefusedAddressError) as refused:
        checked_addresses(host, 80, allow_private=False, seconds=10)
    assert refused.value.code == "address_refused"


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answers.wait(30) and [])
    with pytest.raises(RefusedAddressError, match=r"'slow\.example' was not found within 0\.05 s") as refused:
        checked_addresses("slow.example", 443, allow_private=True, seconds=0.05)
    answers.set()
    assert refused.value.code == "unknown_host"


def test_one_bad_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "lookup", lambda host, port, seconds: ["8.8.8.8", "fe80::1%eth0"])
    with pytest.raises(RefusedAddressError, match="fe80::1%eth0"):
        checked_addresses("both.example", 443, allow_private=True, seconds=10)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "invalid_url"),
        ("https:///path", "invalid_url"),
        ("example.com", "invalid_url"),
        ("https://user:secret@8.8.8.8/", "invalid_url"),
        ("https://8.8.8.8/#part", "invalid_url"),
        ("https://8.8.8.8:99999/", "invalid_url"),
        ("https://8.8.8.8:0/", "invalid_url"),
        ("https://8.8.8.8/a b", "invalid_url"),
        ("https://8.8.8.8\\@10.0.0.1/", "invalid_url"),
        ("https://[::1", "invalid_url"),
        ("https://8.8.8.8/\n", "invalid_url"),
        ("http://8.8.8.8/", "https_required"),
        ("https://10.0.0.1/", "address_refused"),
        ("https://[::ffff:169.254.169.254]/", "address_refused"),
        ("https://no-such-host.invalid/", "unknown_host"),
        ("https://" + "a" * 70 + ".example/", "unknown_host"),
    ],
)
def test_what_is_refused_says_why(url: str, code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_url(url, allow_private=False, https_only=True)
    assert refused.value.code == code
    (item,) = refused.value.errors
    assert (item.pointer, item.code) == ("/url", code)
    assert item.hint


def test_public_addresses_are_taken() -> None:
    check_url("https://8.8.8.8:8443/hook?token=1", allow_private=False, https_only=True)
    check_url("http://[2606:4700::1111]/", allow_private=False, https_only=False)
