"""Provisions PostgreSQL for the Go Labs services, one database an environment and one schema a service."""
