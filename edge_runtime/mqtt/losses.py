"""Why there is no connection to a broker, in words that help whoever has to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.addresses import MQTT, TLS, who_answers
from edge_runtime.errors import SinkUnavailableError, printable

if TYPE_CHECKING:
    from edge_runtime.mqtt.broker import Broker
    from edge_runtime.mqtt.outgoing import Message

__all__ = ["UNKNOWN_VERSION", "Losses"]

# Reasons why a connection is refused, as MQTT 5 has them and the client gives those of 3.1.1.
UNKNOWN_VERSION, UNFIT_ID, LOGINS = 132, 133, (134, 135, 138, 140)
MAX_TOPIC_LETTERS = 200


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
        if code not in (UNFIT_ID, *LOGINS):
            return self._error(f"the broker refuses the connection ({reason})", "its log says why")
        if code == UNFIT_ID:
            return self._error(
                f"the broker refuses the client id '{self._broker.client_id}'",
                f"set client_id in [{self._table}]",
            )
        hint = f"check username and password_file in [{self._table}]"
        if not self._broker.username:
            hint = f"set username in [{self._table}], and its password"
        return self._error(f"the broker refuses the login ({reason})", hint)

    def not_taken(self, message: Message, reason: str) -> SinkUnavailableError:
        """It says that it does not take a message."""
        topic = printable(message.topic, MAX_TOPIC_LETTERS)
        return self._error(
            f"the broker takes no message of {len(message.payload):,} bytes on {topic} ({reason})",
            f"let the client '{self._broker.client_id}' publish there",
        )

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

    def nonsense(self, error: ValueError) -> SinkUnavailableError:
        """It answers something else."""
        return self._error(
            f"what it sends is not MQTT ({error})", "check that the address is that of an MQTT broker"
        )

    def gone(self, reason: str) -> SinkUnavailableError:
        """It had accepted the connection, and hung up."""
        return self._error(
            f"the broker went away ({reason})",
            "if it runs, its log says why: another client with the id "
            f"'{self._broker.client_id}', and what it does not allow, are usual",
        )

    def hung_up(self, reason: str) -> SinkUnavailableError:
        """It hung up before it accepted the connection."""
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
