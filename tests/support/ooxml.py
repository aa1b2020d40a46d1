"""The schemas of Office Open XML, ECMA-376, transitional: Apache POI's jar carries them.

The jar comes from a Maven repository, locked by its hash, and is kept where Kafka's are.
"""

import zipfile
from functools import cache
from typing import Any

from lxml import etree

from broker.jars import Distribution, Jar, class_path

_POI = Distribution(
    "poi",
    "Apache POI",
    (
        Jar(
            "org/apache/poi/poi-ooxml-full/5.4.1/poi-ooxml-full-5.4.1.jar",
            "c51b051655d58d74d5eb89e7d3736c7052c2574f43c79db0c8a83ad216f6dd37",
        ),
    ),
)
_FOLDER = "org/apache/poi/schemas/ooxml/src/"
_XML = "http://www.w3.org/XML/1998/namespace"


class _Jar(etree.Resolver):  # type: ignore[misc]  # lxml ships no types
    """Finds what a schema imports beside it."""

    def __init__(self, jar: zipfile.ZipFile) -> None:
        super().__init__()
        self._jar = jar

    def resolve(self, url: str, _public_id: str, context: Any) -> Any:
        name = url.rpartition("/")[2]
        return self.resolve_string(self._jar.read(_FOLDER + name), context)


@cache
def schema(name: str) -> etree.XMLSchema:
    """A schema by its file's name, such as ``sml.xsd``."""
    path = class_path(_POI, _POI.cache_directory())
    with zipfile.ZipFile(path) as jar:
        parser = etree.XMLParser()
        parser.resolvers.add(_Jar(jar))
        return etree.XMLSchema(etree.fromstring(jar.read(_FOLDER + name), parser))
