//! The bytes of a CSV, by examples; `tests/properties/test_native.py` compares with Python's.

use sluice_native::batch::{Batch, Table};
use sluice_native::csv::{Csv, CsvOptions};
use sluice_native::format::Encode;

const FORMULAS: (&str, &str) = ("=+-@\t\r\n＝＋－＠", "\0\u{feff} \u{a0}");
const MOST_BYTES: usize = 1 << 20;

fn options() -> CsvOptions {
    CsvOptions {
        delimiter: ",".into(),
        line_ending: "\n".into(),
        quotes_all: false,
        decimal_comma: false,
        words: ["".into(), "true".into(), "false".into()],
        head: Vec::new(),
        has_header: true,
    }
}

fn table(keys: &[&str]) -> Table {
    Table::new(keys.iter().map(|key| key.to_string()).collect(), &[]).expect("no types")
}

fn lines_with(options: CsvOptions, keys: &[&str], rows: &str) -> Option<String> {
    let csv = Csv::new(options, keys.len(), true, FORMULAS);
    let record = format!(r#"{{"export_id":"a","seq":0,"rows":[{rows}]}}"#);
    let (_, part) = csv.encode(record.as_bytes(), &table(keys), 0, MOST_BYTES)?;
    Some(String::from_utf8(part.data).expect("UTF-8"))
}

fn lines(rows: &str) -> Option<String> {
    lines_with(options(), &["a", "b"], rows)
}

#[test]
fn arrays_and_objects_make_the_same_lines() {
    assert_eq!(lines(r#"[1, "x"], ["y", null]"#).as_deref(), Some("1,x\ny,\n"));
    assert_eq!(lines(r#"{"a":1,"b":"x"},{"a" : "y"}"#).as_deref(), Some("1,x\ny,\n"));
    assert_eq!(lines(r#"{"b":"x","a":1},{}"#).as_deref(), Some("1,x\n,\n"));
}

#[test]
fn members_in_any_order_are_those_of_their_columns() {
    let made = |row: &str| lines_with(options(), &["a", "b", "c"], row);
    for (row, line) in [
        (r#"{"a":1,"b":2,"c":3}"#, "1,2,3\n"),
        (r#"{"a":1,"c":3,"b":2}"#, "1,2,3\n"),
        (r#"{"c":3,"b":2,"a":1}"#, "1,2,3\n"),
        (r#"{"a":1,"c":"x,y"}"#, "1,,\"x,y\"\n"),
        (r#"{"c":3}"#, ",,3\n"),
        (r#"{"a":1,"\u0062":2,"c":3}"#, "1,2,3\n"),
        (r#"{"a":1,"b":2}"#, "1,2,\n"),
    ] {
        assert_eq!(made(row).as_deref(), Some(line), "{row}");
        // What one row leaves out is not taken from the one before it.
        let rows = format!("[7,8,9],{row},{{}}");
        assert_eq!(made(&rows).as_deref(), Some(&*format!("7,8,9\n{line},,\n")), "{row}");
    }
    for row in [
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"b":2,"a":1,"b":3}"#,
        r#"{"a":1,"b":2,"c":3,"a":4}"#,
        r#"{"a":1,"b":2,"c":3,"d":4}"#,
        r#"{"a":1,"b":2,"c":3,}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,"b":2,"c":3]"#,
    ] {
        assert_eq!(made(row), None, "{row}");
    }
}

#[test]
fn a_string_is_the_same_wherever_it_ends() {
    // Short ones are read and copied a block at a time, and a record may end within it.
    for length in 1..70 {
        for special in ["", ",", "\\\"", "é", "\\n"] {
            for after in ["", &" ".repeat(60)] {
                let text = format!("{}{special}", "x".repeat(length));
                let plain = text.replace("\\\"", "\"\"").replace("\\n", "\n");
                let is_quoted = !matches!(special, "" | "é");
                let field = if is_quoted { format!("\"{plain}\"") } else { plain };
                let made = lines(&format!(r#"["{text}","{text}"]{after}"#));
                assert_eq!(made, Some(format!("{field},{field}\n")));
            }
        }
    }
}

#[test]
fn what_python_has_to_judge_is_none() {
    for rows in [
        "",
        "[1]",
        "[1,2,3]",
        "1",
        r#"{"c":1}"#,
        r#"{"a":1,"a":2}"#,
        "[1,2],",
        "[1,NaN]",
        "[1,01]",
        r#"[1,"\ud800"]"#,
        r#"[1,{"x":1,"x":2}]"#,
        "[1,1e999]",
    ] {
        assert_eq!(lines(rows), None, "{rows}");
    }
}

#[test]
fn numbers_have_pythons_texts() {
    for (number, text) in [
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("12.50", "12.5"),
        ("3.00", "3.0"),
        ("1e16", "1e+16"),
        ("1E15", "1000000000000000.0"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("20.00001", "20.00001"),
        ("123456789.123456789123456789", "123456789.12345679"),
        ("1e-400", "0.0"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5.6843418860808015e-14", "5.684341886080802e-14"),
        ("18446744073709551616", "18446744073709551616"),
    ] {
        assert_eq!(lines(&format!("[{number},1]")), Some(format!("{text},1\n")), "{number}");
    }
}

#[test]
fn fields_are_escaped_then_quoted() {
    for (cell, field) in [
        (r#""=1""#, "'=1"),
        (r#"" =1""#, "' =1"),
        (r#""＝1""#, "'＝1"),
        (r#""-1,234.5 %""#, "\"-1,234.5 %\""),
        (r#""-1-1""#, "'-1-1"),
        (r#""a;b""#, "\"a;b\""),
        (r#""a\"b""#, "\"a\"\"b\""),
        (r#""a\nb""#, "\"a\nb\""),
        (r#"{"x" : [1, "é"]}"#, "\"{\"\"x\"\":[1,\"\"é\"\"]}\""),
    ] {
        assert_eq!(lines(&format!("[{cell},1]")), Some(format!("{field},1\n")), "{cell}");
    }
}

#[test]
fn a_file_begins_so_that_no_reader_mistakes_it() {
    let begun = |has_header| CsvOptions { has_header, head: b"h\n".to_vec(), ..options() };
    let made = lines_with(begun(true), &["a", "b"], r#"["ID",1]"#);
    assert_eq!(made.as_deref(), Some("h\nID,1\n"));
    let made = lines_with(begun(false), &["a", "b"], r#"["ID",1],["ID",2]"#);
    assert_eq!(made.as_deref(), Some("h\n\"ID\",1\nID,2\n"));
}

#[test]
fn a_lone_blank_field_is_quoted() {
    assert_eq!(
        lines_with(options(), &["a"], r#"[""],[" "],["x"]"#).as_deref(),
        Some("\"\"\n\" \"\nx\n")
    );
}

#[test]
fn the_fields_beside_the_rows_come_out() {
    let csv = Csv::new(options(), 1, true, FORMULAS);
    let record = br#" {"total_rows":1, "rows":[[1]], "last":true, "seq":7, "export_id":"a-1"} "#;
    let (batch, part) = csv.encode(record, &table(&["a"]), 1, MOST_BYTES).expect("it is right");
    let expected = Batch { export_id: "a-1", seq: 7, last: true, total_rows: Some(1), rows: 1 };
    assert_eq!((batch, &part.data[..]), (expected, &b"1\n"[..]));
    assert!(csv.encode(record, &table(&["a"]), 1, 1).is_none(), "more bytes than are wanted");
}
