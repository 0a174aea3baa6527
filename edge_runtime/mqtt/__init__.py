"""MQTT: where to listen, the client, what a message says, and which messages may come again."""
