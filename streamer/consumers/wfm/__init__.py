"""Workforce management: the interval ledger, what is computed from it, and its exports."""
