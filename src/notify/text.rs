//! Texts that agents and servers wrote, made fit to be shown by others than the gateway.

use std::fmt::Write as _;

/// The text on one line, with everything written out that an eye would take for something else, and no longer than so many
/// characters; what is left out is said.
pub(super) fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    let mut rest = text.chars();
    for char in rest.by_ref() {
        let start = shown.len();
        if crate::is_plain(char) {
            shown.push(char);
        } else {
            let _ = write!(shown, "{}", char.escape_unicode());
        }
        count += shown.get(start..).unwrap_or_default().chars().count();
        if count > chars_max {
            shown.truncate(start);
            let left = rest.count() + 1;
            let _ = write!(shown, "… ({left} more characters)");
            return shown;
        }
    }
    shown
}

/// A piece of code, as Slack and those like it write one: in it nothing is a link, a mention or markup. Whoever would end it
/// is put in another letter's place.
pub(super) fn code(text: &str) -> String {
    let text = text.replace('`', "ˋ");
    let text = text.trim();
    // an empty one is none, and what follows would be in it
    let text = if text.is_empty() { "–" } else { text };
    format!("`{}`", escaped(text))
}

/// Slack's own three characters, written as it wants them.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text in which programs that make links of whatever looks like one find none: the dots, colons and
/// at signs that an address needs are put in brackets.
pub(super) fn unlinked(text: &str) -> String {
    let mut unlinked = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied();
        let is_address = match char {
            '.' | '。' | '．' => next.is_some_and(char::is_alphanumeric),
            ':' => next == Some('/'),
            '@' => true,
            _ => false,
        };
        if is_address {
            unlinked.extend(['[', char, ']']);
        } else {
            unlinked.push(char);
        }
    }
    unlinked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_written_out_and_what_is_long_is_cut_and_said() {
        assert_eq!(shown("a\nb\u{202e}c\u{200b}", 50), "a\\u{a}b\\u{202e}c\\u{200b}");
        assert_eq!(shown("Grüße 漢字 🎉", 50), "Grüße 漢字 🎉");
        assert_eq!(shown("12345678", 8), "12345678");
        assert_eq!(shown("123456789", 8), "12345678… (1 more characters)");
        assert_eq!(shown("12345678\n0", 8), "12345678… (2 more characters)");
        assert_eq!(shown(&"\u{202e}".repeat(100), 20), "\\u{202e}\\u{202e}… (98 more characters)");
    }

    #[test]
    fn a_piece_of_code_can_not_be_left() {
        for text in ["`", "``` <!channel> ```", "` <https://evil.example|ok>", "", " ", "\\`", "a`\\"] {
            let code = code(text);
            assert!(code.starts_with('`') && code.ends_with('`') && code.len() > 2, "{code}");
            assert!(!code[1..code.len() - 1].contains(['`', '<', '>']), "{code}");
        }
        assert_eq!(code("a & b"), "`a &amp; b`");
    }

    #[test]
    fn nothing_is_left_that_looks_like_an_address() {
        for (text, expected) in [
            ("https://evil.example/x", "https[:]//evil[.]example/x"),
            ("see evil.example.", "see evil[.]example."),
            ("mailto:a@b.c", "mailto:a[@]b[.]c"),
            ("evil。example", "evil[。]example"),
            ("{\"n\":1.5}", "{\"n\":1[.]5}"),
            ("wait... done: yes", "wait... done: yes"),
        ] {
            assert_eq!(unlinked(text), expected);
        }
    }
}
