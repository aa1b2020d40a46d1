"""An XML schema made from a request, to judge its file by."""

from lxml import etree

from schemas.options import XmlOptions
from schemas.requests import ExportRequested
from schemas.vocabulary import ColumnType
from schemas.xml_names import element_name

_TYPES = {
    None: "xs:string",
    ColumnType.STRING: "xs:string",
    ColumnType.INTEGER: "xs:integer",
    ColumnType.NUMBER: "xs:double",
    ColumnType.DECIMAL: "number",
    ColumnType.BOOLEAN: "xs:boolean",
    ColumnType.DATE: "xs:date",
    ColumnType.TIMESTAMP: "xs:dateTime",
}


def schema_of(request: ExportRequested) -> etree.XMLSchema:
    """What the request's file must be: its elements, their order, their types, which may be nil."""
    options = request.options
    assert isinstance(options, XmlOptions)
    may_be_null = 'nillable="true"' if options.null == "nil" else 'minOccurs="0"'
    cells = "".join(
        f'<xs:element name="{element_name(one.key)}" type="{_TYPES[one.type]}" {may_be_null}/>'
        for one in request.columns
    )
    text = f"""
        <xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
          <xs:simpleType name="number">
            <xs:union memberTypes="xs:decimal xs:double"/>
          </xs:simpleType>
          <xs:element name="{options.root}">
            <xs:complexType>
              <xs:sequence>
                <xs:element name="{options.row}" minOccurs="0" maxOccurs="unbounded">
                  <xs:complexType><xs:sequence>{cells}</xs:sequence></xs:complexType>
                </xs:element>
              </xs:sequence>
            </xs:complexType>
          </xs:element>
        </xs:schema>"""
    return etree.XMLSchema(etree.fromstring(text))
