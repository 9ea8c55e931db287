"""Machines that users bind, and the audit of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "machine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("machine_code", sa.String(length=32), nullable=False),
        sa.Column("windows_uuid", sa.String(length=255), nullable=False),
        sa.Column("windows_product_id", sa.String(length=255), nullable=False),
        sa.Column("machine_os_name", sa.String(length=255), nullable=False),
        sa.Column("machine_os_version", sa.String(length=255), nullable=False),
        sa.Column("machine_architecture", sa.String(length=255), nullable=False),
        sa.Column("machine_architecture_type", sa.String(length=255), nullable=False),
        sa.Column("machine_platform", sa.String(length=255), nullable=False),
        sa.Column("machine_cpu", sa.String(length=255), nullable=False),
        sa.Column("machine_motherboard", sa.String(length=255), nullable=False),
        sa.Column("machine_mac_address", sa.String(length=255), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_machine_organisation_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_machine_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine")),
    )
    # Decides who owns a machine code.
    op.create_index(op.f("ix_machine_machine_code"), "machine", ["machine_code"], unique=True)
    op.create_index(op.f("ix_machine_organisation_id"), "machine", ["organisation_id"])
    op.create_index(
        op.f("ix_machine_user_id_registered_at_machine_code"),
        "machine",
        ["user_id", "registered_at", "machine_code"],
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_audit_entry_organisation_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_audit_entry_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_organisation_id"), "audit_entry", ["organisation_id"])
    op.create_index(op.f("ix_audit_entry_user_id"), "audit_entry", ["user_id"])


def downgrade() -> None:
    op.drop_table("audit_entry")
    op.drop_table("machine")
