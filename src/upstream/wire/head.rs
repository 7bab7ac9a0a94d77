//! What the beginning of a message that was too long to read says of it.

/// See there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The answer to that request of ours.
    Answer(u64),
    /// It has a method: nobody waits for it.
    NoAnswer,
    /// Neither can be told.
    Unclear,
}

impl Head {
    /// Looks at the members of the message itself; what stands inside of them is the server's business.
    pub(super) fn read(head: &str) -> Self {
        let (mut depth, mut rest) = (0_u32, head);
        let (mut id, mut has_outcome) = (None, false);
        while let Some(at) = rest.find(['{', '}', '[', ']', '"']) {
            let (sign, after) = rest.split_at(at).1.split_at(1);
            rest = after;
            match sign {
                "{" | "[" => depth += 1,
                "}" | "]" => depth = depth.saturating_sub(1),
                _ => {
                    let Some((string, after)) = split_string(rest) else { return Self::Unclear };
                    rest = after;
                    let Some(value) = rest.trim_start().strip_prefix(':') else { continue };
                    match (depth, string) {
                        (1, "method") => return Self::NoAnswer,
                        (1, "id") => id = number(value.trim_start()),
                        (1, "result" | "error") => has_outcome = true,
                        _ => {}
                    }
                }
            }
            if let (Some(id), true) = (id, has_outcome) {
                return Self::Answer(id);
            }
        }
        Self::Unclear
    }
}

/// The number at the start, if it is whole.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|char: char| !char.is_ascii_digit())?;
    text.split_at(end).0.parse().ok()
}

/// The rest of a string whose opening quote was taken, and what follows its closing one.
fn split_string(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.find(|char: char| {
        let is_end = char == '"' && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        is_end
    })?;
    let (string, quote) = text.split_at(end);
    Some((string, quote.split_at(1).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_message_tells_whose_it_is() {
        for (head, expected) in [
            (r#"{"jsonrpc":"2.0","id":5,"result":{"#, Head::Answer(5)),
            (r#"{"error":{"id":7,"x":"\"id\":8"},"id" : 5,"#, Head::Answer(5)),
            (r#"{"result":[{"id":7},"#, Head::Unclear),
            (r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"id":7,"#, Head::NoAnswer),
            (r#"{"id":5,"method":"sampling/createMessage","params":{"#, Head::NoAnswer),
            (r#"{"id":5"#, Head::Unclear),
            (r#"{"id":"5","result":{"#, Head::Unclear),
            (r#"{"result":"the \"id\": 7 and on"#, Head::Unclear),
            ("", Head::Unclear),
        ] {
            assert_eq!(Head::read(head), expected, "{head}");
        }
    }
}
