"""The trust says whose certificates the generator believes when it speaks https."""

import ssl
from dataclasses import dataclass

from bench.errors import UnreadableError


@dataclass(frozen=True)
class Trust:
    """The trust says how a server's certificate is checked."""

    ca: str | None = None
    """The path is that of a file of certificates in PEM that are trusted; None: those of the
    machine."""
    insecure: bool = False
    """The flag says whether any certificate will do."""

    def context(self) -> ssl.SSLContext:
        """`context` returns how connections are encrypted. It raises `UnreadableError` where
        the file can't be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as cause:
            why = cause.strerror or "it has no certificate in PEM"
            if isinstance(cause, ssl.SSLError):
                why = "it has no certificate in PEM"
            raise UnreadableError(f"{self.ca}: {why}") from None
        context.set_alpn_protocols(["http/1.1"])
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
