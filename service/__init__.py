"""Backoffice authentication, as a service."""

# Likewise in pyproject.toml; a test compares them.
VERSION = "0.1.0"
