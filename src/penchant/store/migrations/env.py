"""Run by Alembic. The store hands its own connection over and owns the transaction around it."""

from alembic import context

from penchant.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll schema changes back, although Alembic's default for it says otherwise.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
