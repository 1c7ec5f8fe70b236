//! Cleans text of servers and libraries, so that it fits on one line of a log, a page, a terminal or a report. Called
//! where such text becomes a `Failure`, a `Finding`, a `ServerInfo` or a log line.

/// Longer text is cut after this many characters.
pub const MAX_CHARS: usize = 500;

/// One line of at most [`MAX_CHARS`] visible characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut characters = text.chars().map(visible);
    let mut line: String = characters.by_ref().take(MAX_CHARS).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

/// The whole text on one line: for sentences of our own that quote a server.
#[must_use]
pub fn on_one_line(text: String) -> String {
    if text.chars().all(|c| visible(c) == c) { text } else { text.chars().map(visible).collect() }
}

/// The whole text with its line breaks: for SQL to paste.
#[must_use]
pub fn with_line_breaks(text: String) -> String {
    let kept = |c: char| if c == '\n' { c } else { visible(c) };
    if text.chars().all(|c| kept(c) == c) { text } else { text.chars().map(kept).collect() }
}

/// The character itself, a space for one that controls a terminal or ends a line, and U+FFFD for one that is invisible
/// or changes the order of its neighbours: with such characters a server could forge what a person reads.
fn visible(c: char) -> char {
    match c {
        '\u{2028}' | '\u{2029}' => ' ',
        _ if c.is_control() => ' ',
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_start_a_second_line() {
        assert_eq!(one_line("a\r\nb\u{85}c\u{2028}d\u{2029}e\u{b}f\0"), "a  b c d e f ");
        assert_eq!(one_line("\u{1b}[31mred\u{9b}0m"), " [31mred 0m");
    }

    #[test]
    fn invisible_and_reordering_characters_are_made_visible() {
        for c in "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{feff}\u{2060}\u{ad}\u{61c}\u{e0041}".chars() {
            assert_eq!(one_line(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for honest in ["größer", "数据库", "база", "نسخه", "👍", "naïve – “quoted” …"] {
            assert_eq!(one_line(honest), honest);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters_and_marked() {
        let exact = "é".repeat(MAX_CHARS);
        assert_eq!(one_line(&exact), exact);
        assert_eq!(one_line(&format!("{exact}x")), format!("{exact}…"));
    }

    #[test]
    fn sql_keeps_its_line_breaks_and_sentences_are_not_cut() {
        assert_eq!(with_line_breaks("a;\nb\u{202e}".to_owned()), "a;\nb\u{fffd}");
        let long = format!("{}\n", "x".repeat(2_000));
        assert_eq!(on_one_line(long).chars().count(), 2_001);
    }
}
