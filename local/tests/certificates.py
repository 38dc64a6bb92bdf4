"""Certificates for servers on this machine."""

import ssl
import subprocess


def certificates(folder, name="localhost"):
    """A certificate authority of our own, and what a server of this name needs to show a certificate of it."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    (folder / "names").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", f"/CN={name}")
    signed = ["-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "it.pem"]
    openssl("x509", "-req", *signed)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "it.pem", folder / "key.pem")
    return str(folder / "ca.pem"), tls
