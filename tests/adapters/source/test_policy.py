"""The URL policy: which URLs and which addresses, in every form an address can be written."""

from __future__ import annotations

import pytest

from sluiceway.errors import PolicyError, SourceUnreachableError
from sluiceway.source.policy import Origin, UrlPolicy, resolve


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com/a.csv?sig=1", Origin("https", "example.com", 443)),
        ("https://EXAMPLE.com:8443/", Origin("https", "example.com", 8443)),
        ("https://xn--bcher-kva.example/", Origin("https", "xn--bcher-kva.example", 443)),
        ("https://a_b.cdn.example/", Origin("https", "a_b.cdn.example", 443)),
        ("https://[2606:2800:220:1::1]/x", Origin("https", "2606:2800:220:1::1", 443)),
    ],
)
def test_a_plain_https_url_is_let_through(url: str, origin: Origin) -> None:
    assert UrlPolicy().check(url) == origin


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://example.com/", "plain http"),
        ("ftp://example.com/", "expected a URL like https://host/path"),
        ("file:///etc/passwd", "expected a URL like https://host/path"),
        ("//example.com/", "expected a URL like https://host/path"),
        ("example.com", "expected a URL like https://host/path"),
        ("", "expected a URL like https://host/path"),
        ("https:///path", "names a host"),
        ("https://user:pw@example.com/", "user-info"),
        ("https://user@example.com/", "user-info"),
        ("https://@example.com/", "user-info"),
        ("https://example.com/#frag", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com/a b", "control characters"),
        ("https://example.com/\r\nHost: evil", "control characters"),
        ("https://example.com/\x00", "control characters"),
        ("https://example.com\\@evil.example/", "backslashes"),
        ("https://example.com:99999/", "port is a number"),
        ("https://example.com:0/", "port is a number"),
        ("https://example.com:port/", "port is a number"),
        ("https://[::1/", "IPv6 in brackets"),
        ("https://127%2e0%2e0%2e1/", "host is letters"),
        ("https://127。0。0。1/", "host is letters"),
        ("https://bücher.example/", "host is letters"),
        ("https://[fe80::1%25eth0]/", "host is letters"),
        ("https://example.com/" + "a" * 9000, "characters"),
    ],
)
def test_a_url_that_breaks_a_rule_is_refused_by_the_name_of_the_rule(url: str, rule: str) -> None:
    with pytest.raises(PolicyError, match=rule):
        UrlPolicy().check(url)


@pytest.mark.parametrize("url", ["https://u:s3cret@h.example/", "https://h.example/a b?sig=s3cret", "x://h?s3cret"])
def test_a_refusal_does_not_repeat_what_is_secret(url: str) -> None:
    with pytest.raises(PolicyError) as caught:
        UrlPolicy().check(url)
    assert "s3cret" not in str(caught.value)


PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "100::1", "4000::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "64:ff9b:1::808:808",
    "2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    "100.100.100.200", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
    "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:2:3:4:a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:2:a9:fea9:fe00:0",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inward_is_refused(address: str) -> None:
    with pytest.raises(PolicyError, match="not a public address|metadata"):
        UrlPolicy(resolver=lambda host, port: [address]).addresses("files.example", 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_name_that_leads_outward_is_let_through(address: str) -> None:
    assert UrlPolicy(resolver=lambda host, port: [address]).addresses("files.example", 443) == [address]


@pytest.mark.parametrize("address", METADATA)
def test_a_metadata_service_is_refused_even_by_name(address: str) -> None:
    policy = UrlPolicy(["files.example"], resolver=lambda host, port: [address])
    with pytest.raises(PolicyError, match="metadata"):
        policy.addresses("files.example", 443)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_allowed_host_may_be_private(address: str) -> None:
    policy = UrlPolicy(["files.example:8080"], resolver=lambda host, port: [address])
    if "a9fe:a9fe" in address or "169.254.169.254" in address:
        pytest.raises(PolicyError, policy.addresses, "files.example", 8080)
    else:
        assert policy.addresses("files.example", 8080) == [address]


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    policy = UrlPolicy(resolver=lambda host, port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(PolicyError, match="10.0.0.1"):
        policy.addresses("files.example", 443)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost"])
def test_odd_spellings_of_loopback_are_resolved_before_they_are_judged(host: str) -> None:
    with pytest.raises(PolicyError, match="not a public address"):
        UrlPolicy(resolver=resolve).addresses(host, 443)


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(SourceUnreachableError, match="does not resolve"):
        UrlPolicy(resolver=resolver).addresses("files.example", 443)


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("localhost", "http://localhost/", True),
        ("localhost", "http://localhost:8080/", True),
        ("localhost:8080", "http://localhost:8080/", True),
        ("localhost:8080", "http://localhost:8081/", False),
        ("LOCALHOST:8080", "http://localhost:8080/", True),
        ("localhost", "http://localhost.evil.example/", False),
        ("localhost", "http://evil-localhost/", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("::1", "http://[::1]:8080/", True),
    ],
)
def test_plain_http_is_for_hosts_allowed_by_name(entry: str, url: str, allowed: bool) -> None:
    policy = UrlPolicy([entry])
    if allowed:
        assert policy.check(url).scheme == "http"
    else:
        pytest.raises(PolicyError, policy.check, url)


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("https://files.example/", True),
        ("https://FILES.example/", True),
        ("https://a.cdn.example/", True),
        ("http://inner.example/", True),
        ("https://cdn.example/", False),
        ("https://evilcdn.example/", False),
        ("https://files.example.evil.example/", False),
        ("https://files.example./", False),
    ],
)
def test_a_list_of_hosts_permits_no_other(url: str, permitted: bool) -> None:
    policy = UrlPolicy(["inner.example"], only_hosts=["files.example", ".cdn.example"])
    if permitted:
        policy.check(url)
    else:
        with pytest.raises(PolicyError, match="list of permitted hosts"):
            policy.check(url)


@pytest.mark.parametrize(
    ("runtime_api", "address", "port"),
    [("127.0.0.1:9001", "127.0.0.1", 9001), ("127.0.0.1:9001", "::ffff:127.0.0.1", 9001),
     ("127.0.0.1:9001", "127.0.0.2", 9001), ("127.0.0.1:9001", "::1", 9001), ("127.0.0.1:9001", "0.0.0.0", 9001),
     ("127.0.0.1:9001", "::", 9001), ("127.0.0.1:9001", "::ffff:0.0.0.0", 9001), ("0.0.0.0:9001", "127.0.0.1", 9001),
     ("[::1]:9001", "127.0.0.1", 9001), ("[::1]:9001", "::1", 9001), ("localhost:9001", "127.0.0.1", 9001),
     ("localhost:9001", "0.0.0.0", 9001), ("sandbox:9001", "10.0.0.5", 9001), ("sandbox:9001", "127.0.0.2", 9001),
     ("169.254.100.1:9001", "169.254.100.1", 9001)],
)  # fmt: skip
def test_the_functions_own_runtime_api_is_refused_even_by_name(runtime_api: str, address: str, port: int) -> None:
    policy = UrlPolicy(["files.example"], resolver=lambda host, port: [address], runtime_api=runtime_api)
    with pytest.raises(PolicyError, match="Runtime API"):
        policy.addresses("files.example", port)
    assert policy.addresses("files.example", port + 1) == [address]


def test_a_runtime_api_elsewhere_leaves_loopback_to_whoever_is_allowed() -> None:
    policy = UrlPolicy(["files.example"], resolver=lambda host, port: ["127.0.0.1"], runtime_api="169.254.100.1:9001")
    assert policy.addresses("files.example", 9001) == ["127.0.0.1"]


def test_a_runtime_api_of_a_name_that_leads_nowhere_is_nowhere() -> None:
    def resolver(host: str, port: int) -> list[str]:
        if host == "sandbox":
            raise OSError("no such name")
        return ["10.0.0.5"]

    policy = UrlPolicy(["files.example"], resolver=resolver, runtime_api="sandbox:9001")
    assert policy.addresses("files.example", 9001) == ["10.0.0.5"]


def test_a_redirect_never_leads_from_https_to_http() -> None:
    policy = UrlPolicy(["files.example"])
    with pytest.raises(PolicyError, match="from https to http"):
        policy.check_redirect(policy.check("https://files.example/"), "http://files.example/")
    assert policy.check_redirect(policy.check("http://files.example/"), "https://files.example/").scheme == "https"
