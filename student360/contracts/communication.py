"""Feed `communication`: one row per message between the school and a student's family."""

import numpy as np
import pandas as pd

from student360.contracts.model import STUDENT_ID, Column, Contract, Kind, Privacy, StagingColumn


def fingerprint_content(chunk: pd.DataFrame) -> pd.DataFrame:
    """Add content_hash (int64 >= 0), equal for equal texts, so that the message can be part of the natural key."""
    hashes = pd.util.hash_pandas_object(chunk["message_content"], index=False)
    return chunk.assign(content_hash=(hashes.to_numpy() & np.uint64(2**63 - 1)).astype("int64"))


CONTRACT = Contract(
    feed="communication",
    description="Messages between teachers and families, with their direction.",
    name_words=("communication", "communications", "messages", "teacher_parent_communication"),
    loads="fact_communication",
    natural_key=("student_id", "date_key", "message_type", "content_hash"),
    fresh_within_days=31,
    derive=fingerprint_content,
    columns=(
        STUDENT_ID,
        Column(
            "date",
            Kind.DAY,
            "The day of the message.",
            aliases=("message_date", "sent_on", "day"),
            not_in_future=True,
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "message_type",
            Kind.CODE,
            "Direction as sent; dim_message_types defines its meaning.",
            aliases=("type", "direction"),
            privacy=Privacy.PUBLIC,
        ),
        Column(
            "message_content",
            Kind.TEXT,
            "The message: free text that may name people.",
            aliases=("content", "message", "body"),
            nullable=True,
            privacy=Privacy.PII,
        ),
    ),
    derived=(
        StagingColumn("content_hash", "bigint", "Fingerprint of the message; distinguishes messages of the same day."),
    ),
    derived_from={"content_hash": ("message_content",)},
)
