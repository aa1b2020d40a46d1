//! The bytes of NDJSON, XML and sheets, by examples; `tests/properties` compares with Python's.

use sluice_native::batch::Table;
use sluice_native::format::Encode;
use sluice_native::json::Json;
use sluice_native::xlsx::{Styles, Xlsx, XlsxOptions};
use sluice_native::xml::{Xml, XmlOptions};

const KEYS: [&str; 2] = ["a", "\"b"];
const MOST_BYTES: usize = 1 << 20;

fn keys() -> Vec<String> {
    KEYS.map(String::from).to_vec()
}

fn table(types: &[Option<String>]) -> Table {
    Table::new(keys(), types).expect("known types")
}

fn record(rows: &str) -> Vec<u8> {
    format!(r#"{{"export_id":"a","seq":0,"rows":[{rows}]}}"#).into_bytes()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn json(rows: &str, place: usize) -> Option<String> {
    let json = Json::new(&keys(), b"[\n".to_vec(), b",\n".to_vec());
    let record = record(rows);
    let (_, part) = json.encode(&record, &table(&[]), place, MOST_BYTES)?;
    Some(text(part.data))
}

fn xml(rows: &str) -> Option<(String, usize)> {
    let element = |name: &str| [format!("<{name}>"), format!("</{name}>"), String::new()];
    let xml = Xml::new(XmlOptions {
        head: b"<rows>\n".to_vec(),
        row: [b"<row>".to_vec(), b"</row>\n".to_vec()],
        elements: ["a", "b"].map(|name| element(name).map(String::into_bytes)).to_vec(),
    });
    let record = record(rows);
    let (_, part) = xml.encode(&record, &table(&[]), 1, MOST_BYTES)?;
    Some((text(part.data), part.replaced))
}

fn sheet(rows: &str, column_type: Option<&str>, number: usize) -> Option<String> {
    let types = [column_type.map(String::from), None];
    let styles = Styles {
        quoted: 2,
        whole: 4,
        date: 5,
        timestamp: 6,
        timestamp_millis: 7,
        fraction: 8,
        most_decimals: 15,
    };
    let options = XlsxOptions {
        styles,
        triggers: b"=+-@".to_vec(),
        most_cell_characters: 10,
        most_sheet_rows: 100,
        days: (61, 2_958_466),
    };
    let xlsx = Xlsx::new(options, &types);
    let record = record(rows);
    let (_, part) = xlsx.encode(&record, &table(&types), number, MOST_BYTES)?;
    Some(text(part.data))
}

#[test]
fn objects_are_divided_as_the_file_goes_on() {
    let rows = r#"[1,"x"],{"\"b":[{"é" : 1e-5}]}"#;
    let objects = ["{\"a\":1,\"\\\"b\":\"x\"}", "{\"a\":null,\"\\\"b\":[{\"é\":0.00001}]}"];
    let joined = objects.join(",\n");
    assert_eq!(json(rows, 0), Some(format!("[\n{joined}")));
    assert_eq!(json(rows, 1), Some(format!(",\n{joined}")));
    assert_eq!(json(r#"[1,{"a":1,"a":2}]"#, 1), None);
}

#[test]
fn what_xml_cannot_hold_is_replaced_and_counted() {
    let (made, replaced) = xml(r#"["<a>&\r\n\t\u0000\uffff",null],[true,1e-5]"#).expect("usual");
    let row = "<row><a>&lt;a&gt;&amp;&#13;&#10;\t\u{fffd}\u{fffd}</a></row>\n";
    assert_eq!(made, format!("{row}<row><a>true</a><b>1e-05</b></row>\n"));
    assert_eq!(replaced, 2);
}

#[test]
fn cells_of_a_sheet_are_numbers_or_text() {
    let cell = |cell: &str| {
        let made = sheet(&format!("[{cell},null]"), None, 7)?;
        let inner = made.strip_prefix(r#"<row r="7"><c r="A7""#)?.strip_suffix("<c/></row>")?;
        Some(inner.to_owned())
    };
    for (given, expected) in [
        ("1.50", "><v>1.5</v></c>"),
        ("1e16", "><v>1e+16</v></c>"),
        ("99999999999", "><v>99999999999</v></c>"),
        ("100000000000", r#" s="4"><v>100000000000</v></c>"#),
        (r#""=1""#, r#" s="2" t="inlineStr"><is><t>=1</t></is></c>"#),
        (r#""a ""#, r#" t="inlineStr"><is><t xml:space="preserve">a </t></is></c>"#),
        (r#""_x0041_""#, r#" t="inlineStr"><is><t>_x005F_x0041_</t></is></c>"#),
        (r#""\r<""#, r#" t="inlineStr"><is><t>_x000D_&lt;</t></is></c>"#),
        ("true", r#" t="b"><v>1</v></c>"#),
    ] {
        assert_eq!(cell(given).as_deref(), Some(expected), "{given}");
    }
}

#[test]
fn types_say_what_a_text_stands_for() {
    for (column_type, given, expected) in [
        ("date", "2026-11-21", r#" s="5"><v>46347</v></c>"#),
        ("date", "1900-02-28", r#" t="inlineStr"><is><t>1900-02-28</t></is></c>"#),
        ("decimal", "-1.50", r#" s="9"><v>-1.5</v></c>"#),
        ("decimal", "1e5", "><v>100000</v></c>"),
    ] {
        let made = sheet(&format!(r#"["{given}",null]"#), Some(column_type), 1);
        assert_eq!(made, Some(format!(r#"<row r="1"><c r="A1"{expected}<c/></row>"#)), "{given}");
    }
}

#[test]
fn bounds_of_a_sheet_are_pythons_business() {
    assert!(sheet("[1,2]", None, 100).is_some());
    assert!(sheet("[1,2],[1,2]", None, 100).is_none());
    assert!(sheet(r#"["12345678901",2]"#, None, 1).is_none());
}
