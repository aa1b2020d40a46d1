"""Encodes a batch from its message's bytes to the file's bytes, without Python objects in between.

Handles only what an encoder accepts as it is; everything else is decoded and checked in Python,
which also words the errors. Invariant: an export ends the same, with the same bytes, whichever way
its batches took.
"""

from typing import Final

from consumer.exports.export import OpenExport
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import LargeMessage, Message
from schemas.records import Batch
from schemas.vocabulary import Compression

MOST_ENCODED_BYTES: Final = 4 * 1024 * 1024
"""That a batch makes at one go, which takes 10 to 40 ms; Python makes more in pieces."""


def encoded_batch(export: OpenExport, message: Message, context: ExportContext) -> Batch | None:
    """The message's batch with its rows encoded; None if no encoder can, or no export is named.

    The key only selects the encoder to try: the batch must name the same export.
    """
    value = None if isinstance(message, LargeMessage) else message.value
    if type(value) is not bytes:  # excludes ``UnreadValue`` too
        return None
    if export.encoder is None:
        export.encoder = context.encoders.encoder(export.request)
    most_bytes = MOST_ENCODED_BYTES
    # Only in pieces is it known which byte exceeds the limit, and compression reduces them.
    if export.decided is None and export.request.compression is Compression.NONE:
        most_bytes = min(most_bytes, context.max_export_bytes - export.size_bytes)
    writer = export.file.writer if export.file else None
    batch = export.encoder.encode(value, writer, max(0, most_bytes))
    return batch if batch and batch.export_id == export.origin.export_id else None
