"""Alembic migrations of the store. They ship with the package and run when a store is opened."""
