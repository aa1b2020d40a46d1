"""Routes requests: each is opened, refused, a repeat, a cancellation, or a dead letter.

Invariant: a request is handled once; requests below the resumed position only restore the exports
that were open there.
"""

from collections.abc import Iterable
from itertools import islice
from typing import TypeGuard

from consumer.core.resume import ResumePoint
from consumer.errors import LaneStopped
from consumer.exports.dead_letters import DeadLetters
from consumer.exports.ending import Ending
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import Message, SetAside, value_bytes
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.terminal_events import (
    Origin,
    id_in_key,
    origin_of,
    origin_of_invalid,
    origin_of_unread,
    source_of,
)
from schemas.codec import InvalidRequest, decode_request
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.errors import Unreadable
from schemas.requests import CancelRequested, ExportRequested
from schemas.vocabulary import FailReason

_READ_AHEAD = 64  # roughly a turn's worth
_CANCEL = b'"export.cancel_requested"'
_PEEKED_BYTES = 16 * 1024  # larger than any cancellation; longer values aren't examined


class RequestRouting:
    """Routes the requests of one partition, one after the other.

    ``position`` is the next offset to handle, after all of ``to_restore``.
    """

    def __init__(
        self,
        point: ResumePoint,
        context: ExportContext,
        exports: OpenExports,
        publication: Publication,
        dead_letters: DeadLetters,
        given_up: frozenset[str],
    ) -> None:
        self.to_restore = set(point.open_requests)
        self.position = self._floor = point.requests_position
        self._context = context
        self._exports = exports
        self._publication = publication
        self._dead_letters = dead_letters
        self._given_up = given_up
        self._ahead: dict[str, TerminalEvent | None] = {}

    def read_ahead(self, requests: Iterable[Message]) -> None:
        """Read the manifests of the next requests, all at once.

        They are valid until the next call in the same turn, since an unknown export may end
        meanwhile. Raises StorageUnavailable.
        """
        self._ahead.clear()
        read = islice(requests, _READ_AHEAD)
        ids = dict.fromkeys(id_in_key(one) for one in read if not self.passes_over(one))
        unknown = [one for one in ids if one is not None and not self._is_known(one)]
        # A single one is read with its request.
        if len(unknown) > 1:
            self._ahead.update(self._context.storage.read_ahead(unknown))

    def pass_by(self, position: int) -> None:
        """Skip to this offset: all requests below were handled or are invisible to consumers.

        Raises:
            LaneStopped: requests to be restored would be skipped.
        """
        if position >= self._floor:
            self._require_restored()
        self.position = max(self.position, position)

    def passes_over(self, request: Message) -> bool:
        """Whether a request was handled before and left nothing open: it needn't be read."""
        return request.offset < self._floor and request.offset not in self.to_restore

    def handle(self, message: Message, aside: SetAside | None = None) -> None:
        """Handle a message of the requests topic, or set it aside.

        Raises:
            LaneStopped: requests to be restored should have come before it.
            StorageUnavailable: hand it in again.
        """
        if message.offset >= self._floor:
            self._require_restored()
        if aside:
            self._set_aside(message, aside)
        else:
            self._read(message)
        # Only now: after a refusal by the storage the same request comes again, and must find the
        # same state.
        self.to_restore.discard(message.offset)
        self.position = max(self.position, message.offset + 1)

    def _read(self, message: Message) -> None:
        try:
            with self._context.at_work_on(value_bytes(message)):
                request = decode_request(message.value, message.key)
        except Unreadable as error:
            self._dead_letters.add(error.reason, message, str(error))
        except InvalidRequest as error:
            origin = origin_of_invalid(error, message, self._context.now())
            self._on_requested(None, origin, str(error))
        else:
            if isinstance(request, CancelRequested):
                self._on_cancel(request)
            else:
                self._on_requested(request, origin_of(request, message, self._context.now()))

    def _require_restored(self) -> None:
        if self.to_restore:
            raise LaneStopped(
                f"open requests at offsets {sorted(self.to_restore)} are gone: the topic was cut "
                "or compacted meanwhile"
            )

    def _on_requested(
        self,
        request: ExportRequested | None,
        origin: Origin,
        error: str = "",
        reason: FailReason = FailReason.INVALID_REQUEST,
    ) -> None:
        """Handle a request with a valid id; ``request`` is None if it fails for a reason."""
        manifest = self._manifest(origin.export_id)
        if self._is_known(origin.export_id) or (manifest and manifest.source != origin.source):
            self._context.metrics.duplicate(origin.format, origin.user)
        elif manifest and self._lacks_its_file(manifest):
            # An attempt died between manifest and file: make the file as decided.
            if request is None:
                raise LaneStopped(
                    f"the manifest of {origin.export_id} says that it completed, but to this build"
                    f" its request is wrong: {error}"
                )
            self._exports.admit(request, origin, manifest)
        elif manifest:
            # It has ended: send its event, unless the topic already has it.
            self._publication.end(Ending(manifest, origin, bound=True))
        elif request is None:
            self._exports.refuse(origin, reason, error)
        elif origin.export_id in self._given_up:
            message = "the storage could not bring the file to the disk"
            self._exports.refuse(origin, FailReason.STORAGE_UNAVAILABLE, message)
        else:
            self._exports.admit(request, origin, None)

    def _manifest(self, export_id: str) -> TerminalEvent | None:
        """The manifest. One read ahead is used once, because a repeat may come after the end."""
        if export_id in self._ahead:
            return self._ahead.pop(export_id)
        return self._context.storage.manifest(export_id)

    def _on_cancel(self, request: CancelRequested) -> None:
        export = self._exports.get(request.export_id)
        # A completed manifest is binding, however early the cancellation is in the topic.
        if export is None or export.decided:
            self._context.metrics.cancel_ignored()
        else:
            self._exports.cancel(export, request.message)

    def must_be_read(self, message: Message) -> bool:
        """Whether a request's manifest says completed but the file is missing."""
        if (export_id := id_in_key(message)) is None:
            return False
        manifest = self._context.storage.manifest(export_id)
        ours = manifest is not None and manifest.source == source_of(message)
        return ours and manifest is not None and self._lacks_its_file(manifest)

    def _lacks_its_file(self, manifest: TerminalEvent) -> TypeGuard[ExportCompleted]:
        """Whether a file has to be made; an expired one isn't made again."""
        return (
            isinstance(manifest, ExportCompleted)
            and not manifest.expired(self._context.now())
            and not self._context.storage.has_file(manifest)
        )

    def _set_aside(self, message: Message, aside: SetAside) -> None:
        """Fail its export; make it a dead letter if it can't have been an export's request."""
        export_id = id_in_key(message)
        # Cancellations go to every partition: this one must not end another partition's export.
        short = value_bytes(message) <= _PEEKED_BYTES
        cancels = short and _CANCEL in (message.value or b"")
        if export_id is None or self._is_known(export_id) or cancels:
            self._dead_letters.add(aside.reason, message, aside.why)
        else:
            origin = origin_of_unread(export_id, message, self._context.now())
            self._on_requested(None, origin, aside.why, FailReason.INTERNAL)
        self._context.metrics.set_aside()

    def _is_known(self, export_id: str) -> bool:
        return bool(self._exports.get(export_id) or self._publication.ending(export_id))
