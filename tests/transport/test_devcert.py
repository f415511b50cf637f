"""The development CA and the files written by `certs/make.py`."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.transport.devcert import SERVER_AUTH, main, make_authority, write_certificates
from proxy.transport.identity import Identities

FILES = {"ca.pem", "ca-key.pem", "fullchain.pem", "privkey.pem"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def chain(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / "fullchain.pem").read_bytes())


def test_certificate_has_the_requested_names_and_usages(authority):
    pem, _ = authority.issue(
        ["sip.example", "*.example.com"], ["127.0.0.1", "::1"], uri_sans=["sip:example"], ekus=[SERVER_AUTH]
    )
    certificate = x509.load_pem_x509_certificate(pem)
    assert Identities.of(certificate) == Identities(
        ("sip.example", "*.example.com"), ("example",), ("127.0.0.1", "::1")
    )
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert_pem))


def test_repr_shows_no_private_key(authority):
    assert "PRIVATE" not in repr(authority)


def test_issued_certificate_passes_strict_verification_by_the_ssl_module(authority, tmp_path):
    certificate, key = authority.issue(["localhost"])
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(key)
    client = ssl.create_default_context(cadata=authority.cert_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (near, far, near):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert near.getpeercert()["subjectAltName"] == (("DNS", "localhost"),)


def test_all_files_are_written_and_keys_readable_by_the_owner_only(tmp_path):
    folder = tmp_path / "new" / "certs"
    written = write_certificates(folder, ["sbc.test", "192.0.2.7"])
    assert {path.name for path in written} == FILES == set(contents(folder))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes["ca-key.pem"] == modes["privkey.pem"] == 0o600
    ours, above = chain(folder)
    assert Identities.of(ours) == Identities(("sbc.test",), (), ("192.0.2.7",))
    ours.verify_directly_issued_by(above)


def test_second_run_changes_nothing(tmp_path):
    write_certificates(tmp_path, ["sbc.test"])
    before = contents(tmp_path)
    assert write_certificates(tmp_path, ["sbc.test"]) == []
    assert contents(tmp_path) == before


def test_world_readable_key_is_made_private_again(tmp_path):
    write_certificates(tmp_path, ["sbc.test"])
    (tmp_path / "privkey.pem").chmod(0o644)
    write_certificates(tmp_path, ["sbc.test"])
    assert stat.S_IMODE((tmp_path / "privkey.pem").stat().st_mode) == 0o600


def test_other_names_renew_the_server_certificate_and_keep_the_ca(tmp_path):
    write_certificates(tmp_path, ["old.test"])
    before = contents(tmp_path)
    written = write_certificates(tmp_path, ["new.test"])
    assert {path.name for path in written} == {"fullchain.pem", "privkey.pem"}
    assert contents(tmp_path)["ca.pem"] == before["ca.pem"]
    assert Identities.of(chain(tmp_path)[0]).dns == ("new.test",)


def test_certificate_near_expiry_is_renewed(tmp_path):
    write_certificates(tmp_path, ["sbc.test"])
    soon = datetime.now(UTC) + timedelta(days=340)
    assert len(write_certificates(tmp_path, ["sbc.test"], now=soon)) == 2


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
def test_lost_ca_file_renews_the_ca_and_all_it_issued(tmp_path, name):
    write_certificates(tmp_path, ["sbc.test"])
    (tmp_path / name).unlink()
    assert {path.name for path in write_certificates(tmp_path, ["sbc.test"])} == FILES


def test_invalid_or_nameless_certificate_is_replaced(tmp_path):
    write_certificates(tmp_path, ["sbc.test"])
    (tmp_path / "fullchain.pem").write_text("not a certificate")
    assert len(write_certificates(tmp_path, ["sbc.test"])) == 2
    nameless, key = make_authority().issue([])
    (tmp_path / "fullchain.pem").write_bytes(nameless)
    (tmp_path / "privkey.pem").write_bytes(key)
    assert len(write_certificates(tmp_path, ["sbc.test"])) == 2


def test_mismatched_or_invalid_key_is_replaced_with_its_certificate(tmp_path):
    write_certificates(tmp_path, ["sbc.test"])
    (tmp_path / "privkey.pem").write_bytes((tmp_path / "ca-key.pem").read_bytes())
    assert len(write_certificates(tmp_path, ["sbc.test"])) == 2
    (tmp_path / "privkey.pem").write_text("not a key")
    assert len(write_certificates(tmp_path, ["sbc.test"])) == 2


def test_command_prints_what_it_did(tmp_path, capsys):
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("wrote ") == 4
    assert Identities.of(chain(tmp_path)[0]) == Identities(("localhost",), (), ("127.0.0.1", "::1"))
    assert main([str(tmp_path)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_script_runs_in_any_working_directory(tmp_path):
    script = Path(__file__).parents[2] / "certs" / "make.py"
    command = [sys.executable, str(script), "here", "--host", "sbc.test", "--host", "*.sbc.test"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert Identities.of(chain(tmp_path / "here")[0]).dns == ("sbc.test", "*.sbc.test")
