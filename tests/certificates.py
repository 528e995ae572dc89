"""Certificates for 127.0.0.1 that a test makes for itself: their own authority, short lives, files as our servers read them."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def signed(name, issuer=None, key=None, *, authority=False):
    """Return a certificate for 127.0.0.1 and its key, signed by an issuer or by itself."""
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(subject if issuer is None else issuer.subject)
    built = built.public_key(own.public_key()).serial_number(x509.random_serial_number())
    built = built.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    built = built.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if not authority:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(own if key is None else key, hashes.SHA256()), own


def write(folder, certificate=None, key=None, authority=None):
    """Write ``tls.crt`` and ``tls.key``, and the authority as ``ca.crt``, into a new folder, and return it."""
    folder.mkdir()
    if certificate is not None:
        (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "tls.key").write_bytes(key.private_bytes(*form))
    if authority is not None:
        (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return folder
