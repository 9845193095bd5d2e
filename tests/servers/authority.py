"""A certificate authority for tests."""

from __future__ import annotations

from pathlib import Path


class Authority:
    """A certificate authority of its own, known to nobody but the tests.

    Parameters
    ----------
    folder : pathlib.Path
        Where certificates and keys are written.

    Attributes
    ----------
    bundle : pathlib.Path
        Certificates to trust, for ``SSL_CERT_FILE``: the public ones and this authority's.
    """

    def __init__(self, folder: Path):
        import certifi
        import trustme

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._issued = folder, 0
        self._authority = trustme.CA(organization_name="bidsmill tests")
        self.bundle = folder / "trusted.pem"
        own = self._authority.cert_pem.bytes()
        self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + own)

    def certificate(self, *names: str) -> tuple[Path, Path]:
        """Issue a certificate.

        Parameters
        ----------
        *names : str
            Addresses and host names of the server; without any, those of loopback.

        Returns
        -------
        tuple of pathlib.Path
            The file of the certificate with its chain, and that of its private key.
        """
        issued = self._authority.issue_cert(*(names or ("127.0.0.1", "localhost")))
        self._issued += 1
        chain = self.folder / f"server{self._issued}.pem"
        key = self.folder / f"server{self._issued}.key"
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        key.chmod(0o600)
        return chain, key
