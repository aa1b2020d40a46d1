//! Pages of a PDF, by examples; `tests/properties/test_native_pdf.py` compares with Python's.

use sluice_native::batch::Table;
use sluice_native::pdf::glyphs::{Code, Glyph, Glyphs};
use sluice_native::pdf::layout::{Align, Column, Heights, Layout, Parts, Whole, write_points};
use sluice_native::pdf::pages::Pages;
use sluice_native::pdf::rows::TextRows;
use sluice_native::pdf::setting::{Set, Setter};
use sluice_native::pdf::whole::looks_whole;

fn glyph(character: char, code: Code) -> Glyph {
    let is_decimal = character.is_ascii_digit();
    Glyph { code, advance: 100, shown: character, is_decimal, is_replaced: false }
}

/// Half an em each: ASCII and the ellipsis in the base font, Han in another.
fn glyphs() -> Glyphs {
    let mut glyphs = Glyphs::default();
    glyphs.composites = vec![b"B1".to_vec()];
    for byte in 32..127u8 {
        glyphs.add(char::from(byte), glyph(char::from(byte), Code::Base(byte)));
    }
    glyphs.add('\n', glyph('\n', Code::Base(b'\n')));
    glyphs.add('…', glyph('…', Code::Base(200)));
    glyphs.add('漢', glyph('漢', Code::Composite(0, [1, 2])));
    glyphs.add('\u{200b}', glyph(' ', Code::Left));
    glyphs
}

fn column(align: Align, room: u32) -> Column {
    Column { room, align, whole: Whole::ByText, widest_whole: 9_999, widest_text: 9_999 }
}

fn layout(wraps: bool, columns: Vec<Column>) -> Layout {
    Layout {
        others: vec![b")Tj\n9 0 Td (".to_vec(); columns.len() - 1],
        columns,
        heights: Heights { top: 700.0, room: 30.0, row: 10.0, line: 8.0, most_lines: 3 },
        wraps,
        records: 2,
        parts: Parts { top: b"T\n".to_vec(), after_bands: b"A ".to_vec(), ..Parts::default() },
        band: (b"36".to_vec(), b"500".to_vec()),
        drop: 2.5,
        first: (b")Tj\n-9 ".to_vec(), b" Td (".to_vec()),
        size: b"8".to_vec(),
        base_font: b"B0".to_vec(),
        margin: 36.0,
        footer_size: 7.0,
    }
}

fn cell(text: &str, wraps: bool, column: &Column) -> Option<(String, Set)> {
    let (layout, glyphs) = (layout(wraps, vec![column.clone()]), glyphs());
    let mut out = Vec::new();
    let set = Setter::new(&layout, &glyphs).cell(text, column, &mut out).ok()?;
    Some((out.into_iter().map(char::from).collect(), set))
}

fn cut(text: &str, room: u32) -> String {
    cell(text, false, &column(Align::Left, room)).expect("all is known").0
}

#[test]
fn a_text_that_has_room_is_itself() {
    assert_eq!(cut("abc", 300), "abc");
    assert_eq!(cut("a\u{200b}b", 200), "ab");
    let moved = cell("abc", false, &column(Align::Right, 350)).expect("all is known").0;
    assert_eq!(moved, "250]TJ (abc");
    let moved = cell("ab", false, &column(Align::Center, 351)).expect("all is known").0;
    assert_eq!(moved, "375]TJ (ab");
}

#[test]
fn another_font_interrupts_the_string() {
    assert_eq!(cut("a漢漢b", 400), "a)Tj /B1 8 Tf (\u{1}\u{2}\u{1}\u{2})Tj /B0 8 Tf (b");
}

#[test]
fn what_has_no_room_ends_in_an_ellipsis_and_a_number_is_not_shown() {
    assert_eq!(cut("ab cdef", 400), "ab\u{c8}");
    assert_eq!(cut("abcdef", 99), "");
    assert_eq!(cut("1234567", 250), "##");
}

#[test]
fn what_is_unknown_or_needs_more_room_is_undecided() {
    assert_eq!(cell("é", false, &column(Align::Left, 900)), None);
    let narrow = Column { widest_text: 300, ..column(Align::Left, 200) };
    assert_eq!(cell("abcd", false, &narrow), None);
    assert!(cell("abc", false, &narrow).is_some());
}

#[test]
fn a_text_is_plain_whatever_its_length_only_if_each_of_its_bytes_is() {
    let glyphs = glyphs();
    for count in [1, 128, 256, 384, 4_096] {
        assert_eq!(glyphs.plain_width(&"é".repeat(count)), None);
        assert_eq!(glyphs.plain_width(&format!("a{}", "\n".repeat(count))), None);
        assert_eq!(glyphs.plain_width(&"a".repeat(count)), Some(100 * count as u32));
    }
}

#[test]
fn a_text_is_wrapped_at_spaces_hyphens_and_breaks() {
    let (text, set) = cell("abc cd-efgh\ni", true, &column(Align::Left, 450)).expect("known");
    assert_eq!(text, "abc)Tj\n0 -8 Td (cd-)Tj\n0 -8 Td (efg\u{c8})Tj\n0 16 Td (");
    assert_eq!((set.lines, set.is_cut), (3, true));
}

#[test]
fn points_have_three_decimals_at_most() {
    let shown = |value| {
        let mut out = Vec::new();
        write_points(value, &mut out);
        String::from_utf8(out).expect("ASCII")
    };
    let found = [0.0, -12.3456, 100.0, 0.0005, 2.0015].map(shown);
    assert_eq!(found, ["0", "-12.346", "100", "0.001", "2.002"]);
}

#[test]
fn figures_are_whole_and_words_are_not() {
    let whole = |text: &str| {
        let line: Vec<Glyph> = text.chars().map(|one| glyph(one, Code::Base(1))).collect();
        looks_whole(&line)
    };
    for text in [
        "1",
        "-1.5e+10",
        "$1,234.56",
        "12 %",
        "+49 170 123",
        "(5)",
        "2026-11-21T10:00Z",
        "€ 1",
        "-€ 1.50",
        "€-5",
        "US$ 5",
        "EUR 5",
        "5 kg",
        "1 zł",
        "1 TRY",
        "1.50TL",
        "(1 EUR)",
        "EUR -5",
        "€ -5",
        "US$ -5",
        "-US$5",
        "(EUR 5)",
        "-Rs. 1,23,456.00",
        "kr -5",
        "1 руб.",
        "(1 kr.)",
    ] {
        assert!(whole(text), "{text}");
    }
    for text in [
        "",
        "a",
        "1 apple",
        "12ab",
        "---1",
        "AB-1",
        "ABCD 1",
        "1 kilo",
        "1 TRYL",
        "kr5",
        "kr. x",
        "1\n2",
        &"1 ".repeat(30),
    ] {
        assert!(!whole(text), "{text}");
    }
}

fn pages(rows: usize) -> Pages {
    let table = Table::new(vec!["a".into(), "b".into()], &[]).expect("no types");
    let rows: Vec<String> = (0..rows).map(|row| format!("[{row},\"x\"]")).collect();
    let record = format!(r#"{{"export_id":"a","seq":0,"rows":[{}]}}"#, rows.join(","));
    let (_, read) = TextRows::read(record.as_bytes(), &table, 100).expect("JSON");
    let mut pages = Pages::new(2, 100, 2);
    pages.waiting.extend(&read, 0..read.len()).expect("few");
    pages
}

#[test]
fn rows_wait_for_a_layout_and_for_their_page() {
    let mut pages = pages(5);
    assert!(pages.draw(1, 1).is_undecided);
    assert_eq!(pages.texts(1), [["0", "x"]]);
    pages.pass_over(2);
    pages.glyphs = glyphs();
    pages.layout = Some(layout(false, vec![column(Align::Left, 900); 2]));
    let drawn = pages.draw(2, 0);
    assert_eq!((drawn.pages.len(), drawn.is_undecided), (1, false));
    assert_eq!((pages.waiting_rows(), pages.texts(9)), (1, vec![vec!["4", "x"]]));
    let content = String::from_utf8_lossy(&drawn.pages[0]).into_owned();
    let rows = "T\n36 680 500 10 re\nA 702.5 Td\n-9 -10 Td (2)Tj\n9 0 Td (x)Tj\n-9 -10 Td (3)Tj";
    assert!(content.contains(rows), "{content}");
}

#[test]
fn long_texts_are_shortened() {
    let mut rows = TextRows::new(1, 3);
    rows.push("äöü", true).expect("short");
    rows.push("äöüx", true).expect("short");
    assert_eq!((rows.cell(0, 0), rows.cell(1, 0)), ("äöü", "äöü…"));
    assert_eq!(rows.characters(0..2), 7);
    rows.drop_first(1);
    assert_eq!((rows.len(), rows.cell(0, 0)), (1, "äöü…"));
}
