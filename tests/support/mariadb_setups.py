"""Statements of MariaDB."""

from __future__ import annotations

WITHOUT_KEYS_TO_USERS = (
    "SET @statement = (SELECT concat('ALTER TABLE machine DROP FOREIGN KEY ', constraint_name)"
    " FROM information_schema.referential_constraints WHERE constraint_schema = database())",
    "EXECUTE IMMEDIATE @statement",
)
