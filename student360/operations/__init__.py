"""Operator commands: verify, reprocess, withdraw and move."""
