"""The audit trail: every event once, chained, signed, and able to prove it."""
