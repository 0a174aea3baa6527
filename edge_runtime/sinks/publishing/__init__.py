"""Publishing at an MQTT broker: what waits in the outbox, and its delivery."""
