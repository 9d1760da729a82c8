"""Turns the polled extension status of a call centre into a gapless stream of events on Kafka."""
