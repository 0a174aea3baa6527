"""Why there is no connection to a broker, in words that help whoever has to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.addresses import MQTT, TLS, who_answers
from edge_runtime.errors import SinkUnavailableError

if TYPE_CHECKING:
    from edge_runtime.mqtt.broker import Broker

__all__ = ["Losses"]

# Codes of a refused connection that are not about the login, as the client has them.
UNFIT_ID, BUSY = 133, 136


class Losses:
    """Makes errors.

    Args:
        broker: Where, and as whom.
        timeout: Seconds for which its answers are waited for.
        table: The table with these settings.
    """

    def __init__(self, broker: Broker, timeout: float, table: str) -> None:
        self._broker, self._timeout, self._table = broker, timeout, table

    def _error(self, what: str, hint: str | None = None) -> SinkUnavailableError:
        return SinkUnavailableError(what, where=self._broker.place, hint=hint)

    def refused(self, code: int, reason: str) -> SinkUnavailableError:
        """The broker does not want the connection."""
        if code == BUSY:
            return self._error(f"the broker takes no connection now ({reason})", "its log says why")
        if code == UNFIT_ID:
            return self._error(
                f"the broker refuses the client id '{self._broker.client_id}'",
                f"set client_id in [{self._table}]",
            )
        hint = f"check username and password_file in [{self._table}]"
        if not self._broker.username:
            hint = f"set username in [{self._table}], and its password"
        return self._error(f"the broker refuses the login ({reason})", hint)

    def no_answer(self) -> SinkUnavailableError:
        """It takes a connection, and says nothing."""
        return self._error(
            f"the broker does not answer within {self._timeout:g} s",
            "check that it runs, and that the address is that of an MQTT broker",
        )

    def no_acknowledgement(self) -> SinkUnavailableError:
        """It takes messages, and says nothing."""
        return self._error(
            f"the broker has acknowledged nothing for {self._timeout:g} s",
            f"its log may say why; on a slow line, raise timeout in [{self._table}]",
        )

    def broken(self, error: Exception) -> SinkUnavailableError:
        """Whatever else ended it."""
        return self._error(f"the connection broke ({type(error).__name__}: {error})")

    def nonsense(self, error: Exception) -> SinkUnavailableError:
        """It answers something else."""
        return self._error(
            f"what it sends is not MQTT ({error})", "check that the address is that of an MQTT broker"
        )

    def gone(self, reason: str, *, opened: bool) -> SinkUnavailableError:
        """It hung up.

        Args:
            reason: What the socket or the client knows.
            opened: Whether it had accepted the connection.
        """
        if opened:
            return self._error(
                f"the broker went away ({reason})",
                "if it runs, its log says why: another client with the id "
                f"'{self._broker.client_id}', and what it does not allow, are usual",
            )
        if (another := self.another_server()) is not None:
            return another
        hint = "its log says why"
        if self._broker.tls:
            hint += "; if it asks for a certificate, set cert_file in [tls]"
        return self._error(f"the broker hung up at once ({reason})", hint)

    def another_server(self) -> SinkUnavailableError | None:
        """What else answers there; asking may take some seconds."""
        who = who_answers(self._broker.host, self._broker.port)
        if who in (None, TLS if self._broker.tls else MQTT):
            return None
        hint = "write mqtts:// in url" if who == TLS else "check the address and the port"
        return self._error(f"{who} answers there, not an MQTT broker", hint)

    def closed(self) -> SinkUnavailableError:
        """It was asked to."""
        return self._error("the connection is closed")
