"""HTML beside the text of messages, of what single channels say, and of templates."""

import sqlalchemy as sa
from alembic import op

revision = "0110"
down_revision = "0151"
branch_labels = None
depends_on = None

TABLES = ("message", "message_variant", "template_version")


def upgrade() -> None:
    """Add the columns: what runs on the revision before does not miss them."""
    for table in TABLES:
        op.add_column(table, sa.Column("html", sa.Text))


def downgrade() -> None:
    """Drop them."""
    for table in TABLES:
        op.drop_column(table, "html")
