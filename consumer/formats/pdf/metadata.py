"""A PDF's metadata: the document information, and the same as XMP.

Validators compare the two (ISO 19005-2, 6.6.2), so both are made here. The XMP says that the file
is PDF/A-2u. Invariant: nothing in them depends on the clock or on chance.
"""

import re
from datetime import UTC, datetime
from xml.sax.saxutils import escape

PRODUCER = "Sluice"
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<pdfaid:part>2</pdfaid:part>
<pdfaid:conformance>U</pdfaid:conformance>
<dc:format>application/pdf</dc:format>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<pdf:Producer>{producer}</pdf:Producer>{created}
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def information(title: str, date: datetime | None) -> dict[str, str]:
    """Entries of the document information dictionary (ISO 32000-1, 14.3.3)."""
    facts = {"Title": title, "Producer": PRODUCER}
    if date:
        digits = "".join(filter(str.isdigit, _moment(date)))
        facts["CreationDate"] = f"D:{digits}+00'00'"
    return facts


def xmp(title: str, date: datetime | None) -> bytes:
    """The metadata stream (ISO 16684-1). What XML can't hold of a title is U+FFFD."""
    created = f"\n<xmp:CreateDate>{_moment(date)}+00:00</xmp:CreateDate>" if date else ""
    shown = escape(_NO_XML.sub("\ufffd", title), {"\r": "&#13;"})
    return _XMP.format(title=shown, producer=PRODUCER, created=created).encode()


def _moment(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="seconds")[:19]
