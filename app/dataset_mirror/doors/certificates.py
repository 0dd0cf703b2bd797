"""Certificates of our own authority: itself, and those of the hosts that it answers for. Pure, but for randomness and time."""

import ipaddress
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Certificate = x509.Certificate
Key = EllipticCurvePrivateKey

_CLOCKS_DIFFER = timedelta(days=1)
_CA_LIFE = timedelta(days=3650)
_CA_RENEWED = timedelta(days=365)
"""What is left of an authority's life when it is issued again."""
_CA_SINCE = datetime(2024, 1, 1, tzinfo=UTC)
"""An authority is valid from then on: one that was issued while a clock was ahead is none of the future when that is set right."""
LEAF_LIFE = timedelta(days=7)
_NOBODY = "invalid"
"""Without any permitted name every name would be permitted; no host is ever called this (RFC 2606)."""
_EVERY_ADDRESS = tuple(x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0"))
_LONGEST_COMMON_NAME = 64


def new_key() -> Key:
    """A new private key, P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: Key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def key_of_pem(pem: bytes) -> Key:
    """ValueError if it is none of ours."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, Key):
        raise ValueError("it is not a key of an elliptic curve")
    return key


def to_pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def of_pem(pem: bytes) -> Certificate:
    """ValueError if it is none."""
    return x509.load_pem_x509_certificate(pem)


def issue_authority(key: Key, hosts: Iterable[str]) -> Certificate:
    """An authority for these hosts and no other, nor any address (RFC 5280 4.2.1.10; the standard includes their sub-domains).

    The name follows from the key: whoever trusts an earlier one of the same key trusts what this one signs, for the earlier
    hosts. What Python 3.13 asks of an authority beyond RFC 5280 is there, too.
    """
    named = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dataset-mirror CA {named.digest.hex()[:16]}")])
    permitted = [x509.DNSName(host) for host in sorted(hosts)] or [x509.DNSName(_NOBODY)]
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # keyCertSign and cRLSign
    builder = _builder(name, name, key, _CA_LIFE).not_valid_before(min(_CA_SINCE, _now() - _CLOCKS_DIFFER))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.NameConstraints(permitted, _EVERY_ADDRESS), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.add_extension(named, critical=False).sign(key, hashes.SHA256())


def issue_leaf(authority: Certificate, authority_key: Key, key: Key, host: str) -> Certificate:
    """The certificate, of a short life, of one host with this key."""
    common = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= _LONGEST_COMMON_NAME else []
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digitalSignature
    named = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = _builder(authority.subject, x509.Name(common), key, LEAF_LIFE).not_valid_before(_now() - _CLOCKS_DIFFER)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=not common)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(issuer: x509.Name, subject: x509.Name, key: Key, life: timedelta) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number()).not_valid_after(_now() + life)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def still_good(authority: Certificate, key: Key, hosts: frozenset[str]) -> bool:
    """Whether an authority is of this key, names exactly these hosts, and is valid for long enough."""
    return authority.public_key() == key.public_key() and named_hosts(authority) == hosts and is_timely(authority)


def is_timely(authority: Certificate) -> bool:
    """Whether an authority is valid by the clock as it is now, and for long enough."""
    now = _now()
    return authority.not_valid_before_utc <= now < authority.not_valid_after_utc - _CA_RENEWED


def named_hosts(authority: Certificate) -> frozenset[str]:
    """The hosts that an authority is for."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName)) - {_NOBODY}


def fingerprint(certificate: Certificate) -> str:
    """Its SHA-256 as people compare it: hexadecimal pairs in upper case with colons between."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
