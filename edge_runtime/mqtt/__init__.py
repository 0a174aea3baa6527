"""MQTT apart from its protocol, which is paho's: where to listen, and what a message says."""
