"""What `flask db` runs: the migrations of this folder, on the app's own engine.

Logging stays as the app has set it up: Flask-Migrate's template would silence the loggers that exist already.
"""

from __future__ import annotations

from alembic import context
from flask import current_app

db = current_app.extensions["migrate"].db

if context.is_offline_mode():
    context.configure(url=db.engine.url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=db.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
