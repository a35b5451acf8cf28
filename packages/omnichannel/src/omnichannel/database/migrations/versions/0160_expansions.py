"""Audiences of any size: lists with a life of their own, and messages whose deliveries are made piece by piece."""

import sqlalchemy as sa
from alembic import op

revision = "0160"
down_revision = "0111"
branch_labels = None
depends_on = None

PIECED = "piece IS NOT NULL AND status IN ('scheduled', 'queued', 'sending', 'retry_wait')"


def upgrade() -> None:
    """Add columns and tables, and let each audience's members become a list of the audience's name."""
    op.add_column("message", sa.Column("in_pieces", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("delivery", sa.Column("piece", sa.Integer))
    pieced = sa.text(PIECED)
    op.create_index(
        "delivery_piece_idx", "delivery", ["message_id", "id"], postgresql_where=pieced, sqlite_where=pieced
    )
    op.create_table(
        "member_list",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("places", sa.Integer, nullable=False),
        sa.Column("dropped_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="member_list_pkey"),
    )
    op.create_table(
        "list_member",
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("zone", sa.Text),
        sa.Column("account", sa.String(32)),
        sa.PrimaryKeyConstraint("list_id", "position", name="list_member_pkey"),
        sa.UniqueConstraint("list_id", "channel", "address", name="list_member_list_id_channel_address_key"),
        sa.ForeignKeyConstraint(["list_id"], ["member_list.id"], name="list_member_list_id_fkey"),
    )
    op.create_table(
        "expansion",
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("own", sa.Integer, nullable=False),
        sa.Column("passed", sa.Integer, nullable=False),
        sa.Column("upto", sa.Integer, nullable=False),
        sa.Column("made", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("done", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("message_id", name="expansion_pkey"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="expansion_message_id_fkey", ondelete="CASCADE"),
    )
    unfinished = sa.text("NOT done")
    op.create_index(
        "expansion_unfinished_idx", "expansion", ["message_id"], postgresql_where=unfinished, sqlite_where=unfinished
    )
    op.add_column("audience", sa.Column("list_id", sa.String(64), nullable=False, server_default=""))
    op.execute("UPDATE audience SET list_id = name")
    op.execute(
        "INSERT INTO member_list (id, members, places) SELECT name,"
        " (SELECT count(*) FROM audience_member WHERE audience = name),"
        " (SELECT coalesce(max(position) + 1, 0) FROM audience_member WHERE audience = name) FROM audience"
    )
    op.execute(
        "INSERT INTO list_member (list_id, position, channel, address, zone, account)"
        " SELECT audience, position, channel, address, zone, account FROM audience_member"
    )
    op.drop_table("audience_member")


def downgrade() -> None:
    """Take them away again. An audience keeps as many members as it could have before, the first ones.

    A message that was being expanded keeps the deliveries that it has.
    """
    op.create_table(
        "audience_member",
        sa.Column("audience", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("zone", sa.Text),
        sa.Column("account", sa.String(32)),
        sa.PrimaryKeyConstraint("audience", "position", name="audience_member_pkey"),
        sa.UniqueConstraint("audience", "channel", "address", name="audience_member_audience_channel_address_key"),
        sa.ForeignKeyConstraint(
            ["audience"], ["audience.name"], name="audience_member_audience_fkey", ondelete="CASCADE"
        ),
    )
    op.execute(
        "INSERT INTO audience_member (audience, position, channel, address, zone, account)"
        " SELECT name, position, channel, address, zone, account FROM"
        " (SELECT audience.name, list_member.position, channel, address, zone, account,"
        "  row_number() OVER (PARTITION BY audience.name ORDER BY list_member.position) AS place"
        "  FROM audience JOIN list_member ON list_member.list_id = audience.list_id) AS listed"
        " WHERE place <= 1000"  # members that an audience could have before
    )
    op.drop_table("expansion")
    op.drop_table("list_member")
    op.drop_table("member_list")
    op.drop_index("delivery_piece_idx", "delivery")
    op.drop_column("audience", "list_id")
    op.drop_column("delivery", "piece")
    op.drop_column("message", "in_pieces")
