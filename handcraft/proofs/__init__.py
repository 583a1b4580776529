"""Certificates: what `handcraft_check` needs to know of a compiled model besides its files."""

from handcraft.proofs.certificate import CERTIFICATE, certificate_of, statement_of
from handcraft.proofs.write_meaning import NotCertified

__all__ = ["CERTIFICATE", "NotCertified", "certificate_of", "statement_of"]
