"""A way from a provider's name for a message to the attempt that it was sent by."""

import sqlalchemy as sa
from alembic import op

revision = "0151"
down_revision = "0150"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    named = sa.text("provider_id IS NOT NULL")
    op.create_index("attempt_provider_id_idx", "attempt", ["provider_id"], postgresql_where=named, sqlite_where=named)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("attempt_provider_id_idx", "attempt")
