"""A batch from its message's bytes to the file's, without Python's objects in between.

Only what an encoder takes as it is; all else is decoded, checked and worded in Python. Invariant:
an export ends the same, with the same bytes, whichever way its batches took.
"""

from typing import Final

from consumer.exports.export import OpenExport
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import LargeMessage, Message
from schemas.records import Batch
from schemas.vocabulary import Compression

MOST_ENCODED_BYTES: Final = 4 * 1024 * 1024
"""That a batch makes at one go, which takes some 10 ms at most; Python makes more in pieces."""


def encoded_batch(export: OpenExport, message: Message, context: ExportContext) -> Batch | None:
    """The batch of a message whose key names an export, with its rows encoded, if that can be.

    The key says only whose encoder is worth a try: the batch counts if it names that export, too.
    """
    value = None if isinstance(message, LargeMessage) else message.value
    if type(value) is not bytes:  # nor an ``UnreadValue``
        return None
    if export.encoder is None:
        export.encoder = context.encoders.encoder(export.request)
    most_bytes = MOST_ENCODED_BYTES
    # Which byte is too much shows in pieces only, and compressed ones are fewer.
    if export.decided is None and export.request.compression is Compression.NONE:
        most_bytes = min(most_bytes, context.max_export_bytes - export.size_bytes)
    writer = export.file.writer if export.file else None
    batch = export.encoder.encode(value, writer, max(0, most_bytes))
    return batch if batch and batch.export_id == export.origin.export_id else None
