//! CSV: rows to bytes as `consumer/formats/csv.py` makes them.
//!
//! Invariant: each field is what `CsvWriter._field` makes of its cell, but for the first one of a
//! file without a header, which may be quoted as `CsvWriter._first_line` does.

use crate::cells::{Cell, compact_json, repr};
use crate::classes::Classes;
use crate::format::{Constant, Format, Part};
use crate::formulas::Formulas;
use crate::scan::ShortText;

/// The byte calls for quotes.
const SPECIAL: u8 = 1;
/// It begins a delimiter beyond ASCII, or another character.
const MAYBE_SPECIAL: u8 = 2;
/// It is doubled within quotes.
const QUOTE: u8 = 4;
const ANY_SPECIAL: u8 = SPECIAL | MAYBE_SPECIAL;
/// Readers split there, whatever the delimiter is; see `CsvWriter`.
const SEPARATORS: [u8; 3] = *b",;\t";
const NUMBER_CHARACTERS: &str = "0123456789+-.e";
/// What must not begin a file: SYLK's mark, and a byte order mark.
const MISTAKEN_BEGINNINGS: [&[u8]; 2] = [b"ID", "\u{feff}".as_bytes()];

/// What Python hands over of an export's options, texts ready to be written.
pub struct CsvOptions {
    pub delimiter: String,
    pub line_ending: String,
    pub quotes_all: bool,
    pub decimal_comma: bool,
    /// The fields of null, true and false.
    pub words: [String; 3],
    /// What begins a file: the mark and the header's line.
    pub head: Vec<u8>,
    pub has_header: bool,
}

/// How one export is written.
pub struct Csv {
    options: CsvOptions,
    formulas: Option<Formulas>,
    blanks: Formulas,
    delimiter: Constant,
    line_ending: Constant,
    words: [Constant; 3],
    classes: Classes,
    is_lone: bool,
    numbers_are_plain: bool,
    texts_are_plain: bool,
}

impl Csv {
    /// Without `escapes` no formula is looked for.
    pub fn new(options: CsvOptions, columns: usize, escapes: bool, formulas: (&str, &str)) -> Self {
        let mut classes = Classes::plain();
        classes.mark(b'"', SPECIAL | QUOTE);
        let specials = SEPARATORS.into_iter().chain(*b"\r\n");
        for byte in specials {
            classes.mark(byte, SPECIAL);
        }
        for byte in options.delimiter.bytes().take(1) {
            let is_whole = options.delimiter.len() == 1;
            classes.mark(byte, if is_whole { SPECIAL } else { MAYBE_SPECIAL });
        }
        let is_lone = columns == 1;
        let makes = || Formulas::new(formulas.0, formulas.1);
        Self {
            formulas: escapes.then(makes),
            blanks: makes(),
            delimiter: Constant::new(options.delimiter.as_bytes()),
            line_ending: Constant::new(options.line_ending.as_bytes()),
            words: [0, 1, 2].map(|word| Constant::new(options.words[word].as_bytes())),
            classes,
            is_lone,
            numbers_are_plain: !options.quotes_all
                && !options.decimal_comma
                && !NUMBER_CHARACTERS.contains(&options.delimiter),
            texts_are_plain: !options.quotes_all && !is_lone,
            options,
        }
    }

    /// `classes` are those of the text's bytes.
    fn calls_for_quotes(&self, text: &str, classes: u8) -> bool {
        self.options.quotes_all
            || classes & SPECIAL != 0
            || classes & MAYBE_SPECIAL != 0 && text.contains(&self.options.delimiter)
            || self.is_lone && self.blanks.is_blank(text)
    }
}

impl Format for Csv {
    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn begin(&self, part: &mut Part) -> Option<()> {
        if part.place == 0 {
            part.data.extend_from_slice(&self.options.head);
        }
        Some(())
    }

    #[inline(always)]
    fn cell(&self, place: usize, cell: &Cell, part: &mut Part) -> Option<()> {
        if place > 0 {
            part.write_constant(&self.delimiter);
        } else if part.place == 0 && !self.options.has_header {
            return self.beginning(cell, part);
        }
        self.field(cell, part)
    }

    #[inline(always)]
    fn text(&self, place: usize, text: ShortText, part: &mut Part) -> Option<()> {
        if place == 0 {
            return self.cell(place, &text.into(), part);
        }
        part.write_constant(&self.delimiter);
        self.written(text.text, text.classes, part, |part| part.write_short(text));
        Some(())
    }

    fn end(&self, part: &mut Part) {
        part.write_constant(&self.line_ending);
    }
}

impl Csv {
    #[inline(always)]
    fn field(&self, cell: &Cell, part: &mut Part) -> Option<()> {
        match cell {
            Cell::Null => part.write_constant(&self.words[0]),
            Cell::Bool(true) => part.write_constant(&self.words[1]),
            Cell::Bool(false) => part.write_constant(&self.words[2]),
            Cell::Integer(text) | Cell::Decimal(text) if self.numbers_are_plain => part.write(text),
            Cell::Integer(text) | Cell::Decimal(text) => self.number(text.as_bytes(), part),
            Cell::Double(number) => self.double(*number, part),
            Cell::Text(text) => {
                self.written(&text.text, text.classes, part, |part| part.write(&text.text));
            }
            Cell::Nested(json) => self.nested(json, part)?,
        }
        Some(())
    }

    /// A text; `write` writes one that needs nothing.
    #[inline(always)]
    fn written(&self, text: &str, classes: u8, part: &mut Part, write: impl FnOnce(&mut Part)) {
        let is_suspect = self.formulas.as_ref().is_some_and(|f| f.is_suspect(text));
        if classes & ANY_SPECIAL == 0 && !is_suspect && self.texts_are_plain {
            write(part);
        } else {
            self.unusual(text, classes, is_suspect, part);
        }
    }

    /// The file's first field, quoted if it would make readers mistake the file.
    #[cold]
    fn beginning(&self, cell: &Cell, part: &mut Part) -> Option<()> {
        let start = part.data.len();
        self.field(cell, part)?;
        let field = &part.data[start..];
        if MISTAKEN_BEGINNINGS.iter().any(|beginning| field.starts_with(beginning)) {
            part.data.insert(start, b'"');
            part.data.push(b'"');
        }
        Some(())
    }

    #[inline(never)]
    fn double(&self, number: f64, part: &mut Part) {
        if self.numbers_are_plain {
            return repr(number, &mut part.data);
        }
        let mut text = Vec::new();
        repr(number, &mut text);
        self.number(&text, part);
    }

    #[inline(never)]
    fn nested(&self, json: &str, part: &mut Part) -> Option<()> {
        let mut text = Vec::with_capacity(json.len());
        compact_json(json, &mut text)?;
        let classes = self.classes.of(&text);
        self.unusual(&String::from_utf8(text).ok()?, classes, false, part);
        Some(())
    }

    #[inline(never)]
    fn number(&self, text: &[u8], part: &mut Part) {
        let (options, out) = (&self.options, &mut part.data);
        let start = out.len();
        let point = if options.decimal_comma { b',' } else { b'.' };
        out.extend(text.iter().map(|&byte| if byte == b'.' { point } else { byte }));
        let delimiter = options.delimiter.as_bytes();
        let has_delimiter = out[start..].windows(delimiter.len()).any(|part| part == delimiter);
        if options.quotes_all || has_delimiter {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }

    #[inline(never)]
    fn unusual(&self, text: &str, classes: u8, may_be_formula: bool, part: &mut Part) {
        let formulas = self.formulas.as_ref().filter(|_| may_be_formula);
        let mark = if formulas.is_some_and(|f| f.is_formula(text)) { "'" } else { "" };
        // The delimiter may be the mark itself: without quotes the field would be split at it.
        let quotes = self.calls_for_quotes(text, classes) || self.options.delimiter == mark;
        if quotes {
            part.data.push(b'"');
        }
        part.data.extend_from_slice(mark.as_bytes());
        if classes & QUOTE == 0 {
            part.write(text);
        } else {
            for (place, between) in text.split('"').enumerate() {
                part.data.extend_from_slice(if place > 0 { b"\"\"" } else { b"" });
                part.data.extend_from_slice(between.as_bytes());
            }
        }
        if quotes {
            part.data.push(b'"');
        }
    }
}
